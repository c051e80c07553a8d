"""The page on money: the comparison in words, budgets, and the tables."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.app.settings import read_settings
from streams.audit.budget_use import budget_uses
from streams.audit.query import QueryResult
from streams.embedded.broker import Tansu
from streams.embedded.supervisor import Supervisor
from streams.pipeline.load import Pipeline
from streams.ui.operator.budgets import budget_bar
from streams.ui.operator.money import baseline, day_plots, handler_rows
from tests.harness.operator_pages import FakeAudit, operator_site, table, visitor
from tests.harness.shop import PIPELINE, shop

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
COMPARED: dict[str, Any] = {
    "asking_events": 1000, "reasoned_events": 200, "tiered_usd": Decimal("1.20"), "all_reasoner_usd": Decimal("11.95"),
    "net_saved_usd": Decimal("10.75"), "net_saved_low": 8.6, "net_saved_high": 12.9,
}  # fmt: skip


def test_the_comparison_states_both_costs_and_the_savings_with_their_interval() -> None:
    found = baseline(COMPARED)
    assert found.words == (
        "Tiering cost $1.20 for the 1,000 events that asked a model; all at the reasoner would have cost "
        "$9.80 to $14.10. Tiering saved $8.60 to $12.90."
    )
    assert found.mood == "good"


@pytest.mark.parametrize(
    ("change", "words", "mood"),
    [
        (
            {"net_saved_low": -0.9, "net_saved_high": -0.2},
            "Tiering does not pay here: it cost $0.20 or more",
            "problem",
        ),
        ({"net_saved_low": -0.5, "net_saved_high": 0.5}, "Whether tiering pays is not certain yet.", "warning"),
        ({"net_saved_low": None, "reasoned_events": 3}, "too few for an interval: 3 events at the reasoner", ""),
        ({"all_reasoner_usd": None}, "the cost of all at the reasoner is unknown", ""),
        ({"asking_events": 0}, "there is nothing to compare", ""),
        (
            {"tiered_usd": Decimal(0), "all_reasoner_usd": Decimal(0), "net_saved_low": 0.0, "net_saved_high": 0.0},
            "No model with a price was asked",
            "",
        ),
    ],
)
def test_the_comparison_says_when_tiering_does_not_pay_and_when_it_is_unknown(
    change: dict[str, Any], words: str, mood: str
) -> None:
    found = baseline(COMPARED | change)
    assert words in found.words
    assert found.mood == mood


def test_a_workers_calls_about_escalated_events_are_a_part_of_its_cost() -> None:
    handlers = [{"tier": "worker", "handler": "answer"}, {"tier": "reasoner", "handler": "answer"}]
    rows = handler_rows(
        handlers, [{"handler": "answer", "wasted_usd": Decimal(2)}, {"handler": "", "wasted_usd": None}]
    )
    assert [row["wasted_usd"] for row in rows] == [Decimal(2), None]


def test_a_day_of_unknown_costs_is_a_day_of_the_plot_of_each_tier_that_cost_something() -> None:
    costs = [
        {"day": date(2026, 11, 1), "tier": "worker", "usd": Decimal(1)},
        {"day": date(2026, 11, 1), "tier": "worker", "usd": None},
        {"day": date(2026, 11, 2), "tier": "judge", "usd": Decimal(9)},
    ]
    found = day_plots(costs, {"worker": Decimal(5), "reasoner": Decimal(20)})
    assert found is not None
    assert found.rows == [("2026-11-01", "$0.00", "$1.00", "$0.00", "$1.00")]
    ((title, plot),) = found.plots
    assert title == "Workers, budget $5.00 a day"
    assert 'class="limit"' in plot
    assert day_plots([], {}) is None


def test_a_tier_without_a_budget_has_no_line_for_it() -> None:
    found = day_plots([{"day": date(2026, 11, 1), "tier": "listener", "usd": Decimal(1)}], {})
    assert found is not None
    assert [(title, 'class="limit"' in plot) for title, plot in found.plots] == [("Listeners, no budget", False)]


def test_the_bar_of_a_budget_says_what_it_shows() -> None:
    spent = {"tier": "worker", "handler": "answer", "usd": Decimal(6), "unpriced": 0, "first": NOW - timedelta(hours=6)}
    (use,) = budget_uses({"worker": (Decimal(5), "defer")}, [spent], NOW)
    assert 'aria-label="workers: $6.00 of $5.00 spent, forecast $18.00"' in budget_bar(use)


# ---- The page ----


def spending(now: datetime) -> QueryResult:
    """Today's spending: the worker is over its 5 dollars, and the reasoner has asked nothing yet."""
    columns = "day tier handler model calls tokens_in tokens_out usd unpriced first"
    first = now.replace(tzinfo=None) - timedelta(minutes=1)
    return table(columns, (now.date(), "worker", "<i>answer", "m", 7, 1, 1, Decimal(6), 1, first))


def audit(now: datetime) -> FakeAudit:
    compared = COMPARED | {
        "spent_usd": Decimal("1.20"), "saved_by_cache_usd": None, "calls_made": 9, "calls_without_price": 2,
        "left_out": 3,
    }  # fmt: skip
    return FakeAudit(
        {
            "run_times": table("run first_event last_event", ("live", now, now)),
            "money": table(" ".join(compared), compared.values()),
            "handler_spending": spending(now),
        }
    )


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    priced = PIPELINE.replace('cassette = "none.jsonl"', 'cassette = "none.jsonl"\npriced_as = "claude-haiku-4-5"')
    budgets = '\n[budgets.worker]\nusd_per_day = 5\n[budgets.reasoner]\nusd_per_day = 20\nat_limit = "accept"\n'
    return shop(tmp_path, priced + budgets)


async def page(directory: Path, pipeline: Pipeline | None) -> str:
    now = read_settings({"ESCALON_DATA": str(directory)}).now()
    async with visitor(operator_site(audit(now), directory, pipeline)) as operator:
        answer = await operator.get("/money")
    assert answer.status_code == 200
    return answer.text


async def test_the_page_names_the_tier_that_is_over_its_budget_and_escapes_names(
    tmp_path: Path, pipeline: Pipeline
) -> None:
    shown = await page(tmp_path, pipeline)
    assert "The workers are over today&#39;s budget: $6.00 of $5.00 is spent." in shown
    assert "Most of it went to &lt;i&gt;answer ($6.00). Now further tasks wait until midnight UTC." in shown
    assert "From the limit on the workers&#39; answers are accepted instead until midnight UTC." in shown
    assert "How many tasks wait for a budget is unknown: Kafka does not answer." in shown
    assert "No call yet today." in shown
    assert "By handler: &lt;i&gt;answer $6.00." in shown
    assert "<i>answer" not in shown
    assert "all at the reasoner would have cost" in shown
    assert 'href="/query/money?' in shown
    assert 'href="/query/handler_spending?' in shown
    assert "3 events with a call of unknown cost are left out." in shown


async def test_without_a_pipeline_the_page_shows_what_was_spent(tmp_path: Path) -> None:
    shown = await page(tmp_path, None)
    assert "its budgets are not" in shown
    assert "$6.00 is spent today" in shown


async def test_the_overview_warns_of_a_budget_that_is_over_and_a_replay_has_none(
    tmp_path: Path, pipeline: Pipeline
) -> None:
    now = read_settings({"ESCALON_DATA": str(tmp_path)}).now()
    async with visitor(operator_site(audit(now), tmp_path, pipeline)) as operator:
        live, replayed = [(await operator.get(f"/?run={run}")).text for run in ("live", "again")]
        money = (await operator.get("/money?run=again")).text
    assert "The workers are over today&#39;s budget: $6.00 of $5.00 is spent." in live
    assert "120 % of the workers&#39; budget" in live
    assert "over today" not in replayed
    assert "Budgets are for live traffic, not for a replay." in money


@pytest.mark.embedded
async def test_tasks_that_wait_for_a_budget_are_counted(tmp_path: Path, pipeline: Pipeline) -> None:
    now = read_settings({"ESCALON_DATA": str(tmp_path)}).now()
    with Supervisor(tmp_path / "logs") as supervisor:
        kafka = KafkaConfig(servers=Tansu().start(supervisor))
        create_topics(kafka, "", 1, 1)
        producer = Producer(kafka.confluent())
        for topic in ("deferred-budget", "deferred-budget", "deferred-provider"):
            producer.produce(topic, b"a task")
            producer.flush(30)
        async with visitor(operator_site(audit(now), tmp_path, pipeline, ESCALON_KAFKA=kafka.servers)) as operator:
            money, overview = [(await operator.get(path)).text for path in ("/money", "/")]
    assert "About 2 tasks are postponed: they wait until midnight UTC for a budget." in money
    assert "<b>≈ 2</b>" in overview


async def test_advice_is_given_for_a_day_and_not_for_an_hour(tmp_path: Path) -> None:
    now = read_settings({"ESCALON_DATA": str(tmp_path)}).now()
    async with visitor(operator_site(audit(now), tmp_path)) as operator:
        hour, day = [(await operator.get(f"/money?hours={hours}")).text for hours in (1, 24)]
    assert "Choose a day or more for advice" in hour
    assert "escalon report --advice" in day


async def test_for_a_pipeline_of_functions_the_pages_say_that_no_model_has_a_price(
    tmp_path: Path,
) -> None:
    now = read_settings({"ESCALON_DATA": str(tmp_path)}).now()
    made = audit(now)
    free = COMPARED | dict.fromkeys(("tiered_usd", "all_reasoner_usd", "net_saved_usd", "spent_usd"), Decimal(0))
    free |= {"net_saved_low": 0.0, "net_saved_high": 0.0, "saved_by_cache_usd": None, "calls_made": 9, "left_out": 0}
    free |= {"calls_without_price": 0}
    made.answers |= {
        "money": table(" ".join(free), free.values()),
        "costs": table("day tier usd", (now.date(), "worker", Decimal(0))),
        "flow": table("action worker reason reasoner state events", ("work", "answer", "", "", "answered", 3)),
    }
    async with visitor(operator_site(made, tmp_path)) as operator:
        overview, money = [(await operator.get(path)).text for path in ("/", "/money")]
    assert "no model with a price was asked, in the last hour" in overview
    assert "Tiers cost more" not in overview
    assert "No model with a price was asked in this time" in money
    assert "No model with a price was asked in these 14 days." in money
    assert "not certain" not in money
