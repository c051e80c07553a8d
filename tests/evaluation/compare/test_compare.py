"""Two runs with planted differences, and every figure worked out by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.providers import comparison
from streams.audit.query import Audit
from streams.audit.result_text import plain
from streams.cli.comparison_view import print_comparison
from streams.core.errors import ConfigError
from streams.core.messages import Event, Outcome, OutcomeState, Run
from streams.evaluation.cases import EVER
from streams.evaluation.compare.audit_reader import Runs
from streams.evaluation.compare.compare import compare
from streams.evaluation.compare.comparison import CompareSettings, RunComparison
from streams.evaluation.compare.json_document import document
from streams.evaluation.compare.paired_statistics import Paired
from streams.evaluation.panel_labels import JudgedAnswer, PanelLabels
from tests.builders import START, call, event, label, verdict
from tests.harness.audit import write
from tests.harness.commands import Escalon
from tests.harness.shop import shop

A, B = "live", "cheaper"


def settled(of: Event, answer: Any = None, state: OutcomeState = "answered", **more: Any) -> Outcome:
    usual: dict[str, Any] = {"tier": "worker", "handler": "answer", "intent": "order"}
    said = None if answer is None else json.dumps(answer)
    usual |= {"pipeline": "p", "call_id": "c", "settled_at": START}
    return Outcome(origin=of.origin, state=state, answer=said, **usual | more)


def both(number: int, text: str = "my order") -> tuple[Event, Event]:
    return event(f"e{number}", text, hour=number), event(f"e{number}", text, run=B, hour=number)


def reused(of: Event, usd: str | None, **more: Any) -> Any:
    """A call that a replay answered from the live run's stored answer."""
    saved = None if usd is None else Decimal(usd)
    return call(of, cost_usd=Decimal(0), saved_usd=saved, cache_hit=True, reused_from=A, **more)


def planted() -> Iterator[Any]:
    """Six events: alike; another answer, B right; reasoner against worker, A right; failed in B; ignored in both; alike
    by the fields that count.
    """
    a, b = both(1)
    yield from (verdict(a), verdict(b), settled(a, {"number": "1"}), settled(b, {"number": "1"}), label(a, "1"))
    yield from (call(a, duration_seconds=1.0), call(a, duration_seconds=1.0))  # delivered twice
    yield reused(b, "0.001", duration_seconds=1.0)
    a, b = both(2)
    yield from (verdict(a), verdict(b), settled(a, {"number": "8"}), settled(b, {"number": "2"}))
    yield from (call(a, duration_seconds=2.0), call(b, cost_usd=Decimal("0.003"), duration_seconds=0.5))
    yield from (label(a, "9"), label(a, "2", hours=2))  # the latest counts
    yield label(a, "order", aspect="intent")
    a, b = both(3)
    by: dict[str, Any] = {"tier": "reasoner", "handler": "think", "reasons": ("unsure: confidence 0.5 under 0.8",)}
    yield from (verdict(a), verdict(b), settled(a, {"number": "3"}, **by), settled(b, {"number": "7"}), label(a, "3"))
    yield call(a, decision="escalated", decision_reason="unsure: confidence 0.5", duration_seconds=1.0)
    yield call(a, "think", "reasoner", duration_seconds=4.0)
    yield from (reused(b, "0.001", duration_seconds=1.0), call(b, "think", "reasoner", decision="explored"))
    a, b = both(4)
    yield from (verdict(a), verdict(b), settled(a, {"number": "4"}), settled(b, state="failed"))
    yield call(a, duration_seconds=1.0)
    yield call(b, status="refused", refusal_class="policy", decision="failed", cost_usd=None, duration_seconds=1.0)
    a, b = both(5)
    route: dict[str, Any] = {"action": "ignore", "intents": ("nothing",), "handler": ""}
    for one in (a, b):
        yield from (verdict(one, **route), settled(one, state="ignored", intent="nothing", tier="listener", handler=""))
    yield from (call(a, "rules", "listener", cost_usd=Decimal(0), duration_seconds=0.0),)
    yield from (call(b, "rules", "listener", cost_usd=Decimal(0), duration_seconds=0.0),)
    a, b = both(6)
    yield from (verdict(a), verdict(b))
    yield from (settled(a, {"number": "6", "note": "x"}), settled(b, {"note": "y", "number": " 6 "}))
    yield from (call(a, duration_seconds=1.0), reused(b, None, duration_seconds=None))
    yield from (settled(event("alone-a"), {"number": "0"}), settled(event("alone-b", run=B), {"number": "0"}))
    yield settled(event("e1", run="another"), {"number": "5"})
    yield Run(
        run=B, base=A, pipeline="p", pipeline_name="shop", topic="events", selection="all", state="stopped", events=7,
        paid_calls=1, reused_calls=3, cost_usd=Decimal(0), started_at=START, updated_at=START,
    )  # fmt: skip


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig) -> ClickHouseConfig:
    write(config, *planted())
    return config


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Any:
    loaded = shop(tmp_path_factory.mktemp("shop"))
    return {(one.tier, one.name): comparison(one.correct) for one in loaded.workers.values()}


def compared(config: ClickHouseConfig, rules: Any, a: str = A, b: str = B, **more: Any) -> RunComparison:
    audit = Audit(config)
    try:
        runs = Runs(a=a, b=b, base=more.pop("base", A), since=more.pop("since", EVER))
        return compare(audit, runs, CompareSettings(rules=rules, rules_of="shop", **more))
    finally:
        audit.close()


@pytest.fixture(scope="module")
def made(config: ClickHouseConfig, rules: Any) -> RunComparison:
    return compared(config, rules)


def test_events_are_matched_by_id_and_those_of_one_run_are_named(made: RunComparison) -> None:
    overlap = made.overlap
    assert (overlap.both, overlap.only_a, overlap.only_b) == (6, 1, 1)
    assert (overlap.ids_only_a, overlap.ids_only_b) == (("alone-a",), ("alone-b",))
    (told,) = [one for one in made.cautions if "Outcomes in A alone: 1, in B alone: 1" in one]
    assert told.endswith("they are left out: alone-a, alone-b")


def test_it_says_who_answered_and_what_was_escalated_and_refused(made: RunComparison) -> None:
    assert made.a.endings == {"worker": 4, "reasoner": 1, "ignored": 1, "duplicate": 0, "failed": 0}
    assert made.b.endings == {"worker": 4, "reasoner": 0, "ignored": 1, "duplicate": 0, "failed": 1}
    assert (made.a.escalations, made.b.escalations) == ({"unsure": 1}, {})
    assert (made.a.refusals, made.b.refusals) == ({}, {"policy": 1})


def test_money_is_what_the_events_would_cost_live(made: RunComparison) -> None:
    # Calls delivered twice count once; a stored answer counts as what it had cost; an explored call is paid for.
    assert made.a.usd == 5 * Decimal("0.001") + Decimal("0.02")
    assert made.b.usd == 2 * Decimal("0.001") + Decimal("0.003") + Decimal("0.02")
    assert (made.b.unpriced_calls, made.b.events_of_unknown_cost, made.a.events_of_unknown_cost) == (2, 2, 0)
    # Free calls are not paid for; one whose price is not known may be.
    assert (made.a.paid, made.b.paid, made.b.cached, made.b.reused) == (6, 3, 0, 3)
    (free,) = [one for one in made.calls if one.run == B and one.handler == "rules"]
    assert (free.calls, free.paid) == (1, 0)
    # Known in both: e1 (1, 1), e2 (1, 3), e3 (21, 21) and e5 (0, 0) thousandths of a dollar.
    spent = made.spending
    assert (spent.events, spent.known) == (6, 4)
    assert (spent.mean_a, spent.mean_b) == pytest.approx((0.00575, 0.00625))
    assert spent.difference.low is None
    assert made.conclusion.cost == "unknown"


def test_time_is_that_of_models_on_the_way_to_the_outcome(made: RunComparison) -> None:
    # A: 1, 2, 5, 1, 0, 1. B: 1, 0.5, 1 without what it explored, 1, 0, unknown.
    assert made.a.seconds_mean == pytest.approx(10 / 6)
    assert made.a.seconds[0.5] == 1.0
    assert (made.timed, made.b.events_of_unknown_time) == (5, 1)
    assert made.seconds.value == pytest.approx((3.5 - 9) / 5)


def test_flips_are_listed_with_the_most_important_first(made: RunComparison) -> None:
    changed = [(one.pair.event_id, one.changes) for one in made.flips]
    assert [name for name, _ in changed] == ["e2", "e3", "e4"] or [name for name, _ in changed] == ["e3", "e2", "e4"]
    assert dict(changed) == {
        "e2": ("answer",),
        "e3": ("answer", "tier", "handler"),
        "e4": ("state", "answer"),
    }
    (first,) = [one for one in made.flips if one.pair.event_id == "e3"]
    assert first.pair.a.reasons == ("unsure: confidence 0.5 under 0.8",)
    assert (first.pair.text, first.right) == ("my order", (True, False))
    assert (made.flipped, made.to_label) == (3, ("e4",))


def test_answers_agree_by_the_handlers_own_rule_else_as_json(config: ClickHouseConfig, made: RunComparison) -> None:
    assert (made.agreement.agreeing, made.agreement.events) == (3, 6)
    plain = compared(config, {})
    assert plain.agreement.agreeing == 2
    assert "e6" in {one.pair.event_id for one in plain.flips}
    assert "Answers of answer, think were compared as JSON: the pipeline file has no rule for them." in plain.cautions


def test_accuracy_is_computed_from_labelled_events_alone(made: RunComparison) -> None:
    found = made.answers
    assert (found.labelled.both, found.labelled.only_a, found.labelled.only_b, found.labelled.neither) == (1, 1, 1, 0)
    assert (found.events, found.differing, found.apart.n) == (5, 3, 2)  # e5 was ignored in both
    assert found.p_value == 1.0
    assert (made.intents.labelled.both, made.intents.events) == (1, 6)
    assert made.conclusion.quality == "too few"


def test_slices_of_few_events_get_no_share(made: RunComparison) -> None:
    assert [(one.name, one.events, one.agreeing, one.low) for one in made.by_intent] == [
        ("order", 5, 2, None),
        ("nothing", 1, 1, None),
    ]
    assert [one.name for one in made.by_handler] == ["answer", "ignored"]


def test_swapping_the_runs_mirrors_everything(config: ClickHouseConfig, rules: Any, made: RunComparison) -> None:
    other = compared(config, rules, B, A)
    assert (other.a, other.b) == (made.b, made.a)
    assert other.changes == made.changes
    assert [one.pair.event_id for one in other.flips] == [one.pair.event_id for one in made.flips]
    assert (other.answers.labelled.only_a, other.answers.labelled.only_b) == (1, 1)
    assert other.spending.difference.value == pytest.approx(-made.spending.difference.value)
    assert other.seconds.value == pytest.approx(-made.seconds.value)
    assert other.agreement == made.agreement


def test_a_stopped_replay_is_reported(made: RunComparison) -> None:
    assert any("B (cheaper) is stopped" in one for one in made.cautions)


def test_the_document_holds_every_figure_as_json(made: RunComparison) -> None:
    found = json.loads(json.dumps(document(made), default=plain, allow_nan=False))
    assert found["sentence"] == made.conclusion.sentence
    assert found["answers"]["pairs"] == {"both": 1, "only_a": 1, "only_b": 1, "neither": 0}
    assert found["a"]["usd"] == "0.025000000000"
    assert {one["event_id"] for one in found["flips"]} == {"e2", "e3", "e4"}
    assert found["overlap"]["only_a"] == 1


def test_only_so_many_examples_are_kept(config: ClickHouseConfig, rules: Any) -> None:
    few = compared(config, rules, examples=1)
    assert (len(few.flips), few.flipped) == (1, 3)


def test_since_leaves_earlier_events_out(config: ClickHouseConfig, rules: Any) -> None:
    assert compared(config, rules, since=START + timedelta(hours=4)).overlap.both == 3


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (A, A, "both runs are 'live'"),
        (A, "nowhere", "no event has an outcome in a run 'nowhere'. Use one of: another, cheaper, live."),
    ],
)
def test_runs_that_cannot_be_compared_are_reported(config: ClickHouseConfig, a: str, b: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        compared(config, {}, a, b)


def test_runs_that_share_no_event_are_reported(config: ClickHouseConfig) -> None:
    with pytest.raises(ConfigError, match=r"no event has an outcome in both another \(0\) and cheaper \(3\)"):
        compared(config, {}, "another", B, since=START + timedelta(hours=3, minutes=30))


# ---- The command ----


def test_the_command_reports_in_plain_words(escalon: Escalon) -> None:
    done = escalon("compare", A, B)
    assert (done.code, done.err) == (0, "")
    assert "Too few labelled events to say which is right more often" in done.out
    assert "by the rules of pipeline shop" in done.out
    assert "e3 answer, tier, handler changed; only A is right" in done.out
    assert all(len(line.rstrip()) <= 80 for line in done.stdout.splitlines())


def test_ids_are_whole_on_a_line_of_their_own_and_the_rest_is_counted(made: RunComparison) -> None:
    out, long = Console(width=80, file=io.StringIO()), "mail-" + "7" * 120
    (first, *_) = made.flips
    named = replace(first, pair=replace(first.pair, event_id=long))
    quality = replace(made.conclusion, quality="unlabelled")
    print_comparison(replace(made, flips=(named,), to_label=(long,), conclusion=quality), out)
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    assert shown.splitlines().count(long) == 2
    assert "\n2 more changed events" in shown


def test_the_command_writes_a_page_and_json(escalon: Escalon, tmp_path: Path) -> None:
    done = escalon("compare", A, B, "--json", "--html", "page.html", "--examples", "2")
    assert done.code == 0
    assert len(json.loads(done.stdout)["flips"]) == 2
    assert json.loads(done.stdout)["b"]["paid"] == 3
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--margin", "2"), "margin: 2.0 is not a share between 0 and 1"),
        (("--examples", "-1"), "examples: -1 examples are not possible"),
        (("--until", "tomorrow"), "until: 'tomorrow' is not a time"),
        (("--html", "nowhere/page.html"), "there is no directory"),
        (("--html", "."), "cannot be written"),
        (("--pipeline", "none.toml"), "there is no pipeline file"),
        (("--since", "2030-01-01"), "no event has an outcome in both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_options_are_explained_in_plain_words(escalon: Escalon, arguments: tuple[str, ...], words: str) -> None:
    done = escalon("compare", A, B, *arguments)
    assert done.code == 2
    assert words in done.err


def test_a_label_counts_in_every_run(config: ClickHouseConfig, rules: Any) -> None:
    a, b = event("told", run="one"), event("told", run="two")
    write(config, settled(a, {"number": "1"}), settled(b, {"number": "2"}), label(b, "1"))
    assert compared(config, rules, "one", "two").answers.labelled.only_a == 1


def test_labels_of_live_traffic_count_under_any_name_of_its_run(config: ClickHouseConfig, rules: Any) -> None:
    a, b, base = (event("based", run=run) for run in ("three", "four", "production"))
    write(config, settled(a, {"number": "1"}), settled(b, {"number": "2"}), label(base, "2"))
    assert compared(config, rules, "three", "four").answers.labelled.n == 0
    assert compared(config, rules, "three", "four", base="production").answers.labelled.only_b == 1


def test_of_labels_with_one_time_the_last_source_counts_in_either_order_of_runs(
    config: ClickHouseConfig, rules: Any
) -> None:
    a, b = event("tied", run="five"), event("tied", run="six")
    desk, audit = label(a, "1", source="desk"), label(b, "2", source="audit")
    write(config, settled(a, {"number": "1"}), settled(b, {"number": "2"}), desk, audit)
    assert compared(config, rules, "five", "six").answers.labelled.only_a == 1
    assert compared(config, rules, "six", "five").answers.labelled.only_b == 1


def test_the_command_takes_the_labels_of_the_configured_run(
    escalon: Escalon, config: ClickHouseConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, base = (event("configured", run=run) for run in ("seven", "eight", "production"))
    write(config, settled(a, {"number": "1"}), settled(b, {"number": "2"}), label(base, "2"))
    monkeypatch.setenv("ESCALON_RUN", "production")
    assert json.loads(escalon("compare", "seven", "eight", "--json").stdout)["answers"]["labelled"] == 1


# ---- A case is a task ----


def burst(run_a: str, run_b: str, tasks: int, each: int) -> Iterator[Any]:
    """Tasks that come `each` times; of the first third B's answer is wrong, and A's never."""
    for number in range(tasks * each):
        task = number // each
        a, b = (event(f"burst-{number}", f"task {task}", run=run, hour=number / 100) for run in (run_a, run_b))
        said = "wrong" if 3 * task < tasks else "right"
        yield from (verdict(a), verdict(b), settled(a, {"number": "right"}), settled(b, {"number": said}))
        yield from (call(a), call(b, cost_usd=Decimal("0.002")), label(a, "right"))


def test_a_task_that_comes_again_and_again_is_one_pair(config: ClickHouseConfig, rules: Any) -> None:
    write(config, *burst("burst-a", "burst-b", 9, 20))
    found = compared(config, rules, "burst-a", "burst-b")
    assert (found.overlap.both, found.answers.events, found.answers.differing) == (180, 9, 3)
    assert (found.answers.labelled.both, found.answers.labelled.only_a) == (6, 3)
    assert found.answers.p_value == pytest.approx(0.25)  # of 60 events in place of 3 tasks it would be 2e-18
    assert (found.spending.known, found.spending.difference.low) == (180, None)  # nine tasks are too few
    assert found.agreement.low is None


def test_the_interval_of_many_tasks_is_as_wide_as_if_each_had_come_once(config: ClickHouseConfig, rules: Any) -> None:
    write(config, *burst("many-a", "many-b", 60, 20), *burst("once-a", "once-b", 60, 1))
    many, once = (compared(config, rules, f"{name}-a", f"{name}-b") for name in ("many", "once"))
    assert many.answers == once.answers
    assert (many.agreement.low, many.agreement.high) == pytest.approx((once.agreement.low, once.agreement.high))


def test_what_redaction_hid_is_neither_right_nor_wrong(config: ClickHouseConfig, rules: Any) -> None:
    a, b = event("hidden", run="nine"), event("hidden", run="ten")
    write(config, settled(a, {"number": "[phone]"}), settled(b, {"number": "[phone]"}), label(a, "[phone]"))
    found = compared(config, rules, "nine", "ten")
    assert found.answers.labelled.n == 0
    assert any("1 labelled events count as neither right nor wrong" in one for one in found.cautions)
    assert any("Redaction hid a part of the answers to 1 events" in one for one in found.cautions)


def test_the_verdicts_of_panels_take_the_place_of_labels(config: ClickHouseConfig, rules: Any) -> None:
    """The panel finds e1 wrong, which its label calls right, and of e3 it saw the answer of A alone."""
    seen = [
        (1, {"number": "1"}, False),
        (2, {"number": "8"}, False),
        (2, {"number": "2"}, True),
        (3, {"number": "3"}, True),
    ]
    answers = [
        JudgedAnswer(
            event_id=f"e{number}", run=A, call_id="c", handler="answer", handler_version="v", answer=json.dumps(said),
            right=right,
        )
        for number, said, right in seen
    ]  # fmt: skip
    verdicts = PanelLabels(answers=tuple(answers), panels=("week-48",), ranges=(), judged=5, used=3, skipped=0)
    found = compared(config, rules, verdicts=verdicts)
    assert found.answers.labelled == Paired(only_b=1, neither=1)
    assert any("people judged it in week-48: 3 of 5 judged cases" in one for one in found.cautions)
    assert any("1 judged events count as neither right nor wrong" in one for one in found.cautions)


def test_the_command_says_when_no_panel_has_judged_anything(escalon: Escalon) -> None:
    done = escalon("compare", A, B, "--labels", "panel")
    assert (done.code, "no panel on cheaper or live has a case" in done.err) == (2, True)
