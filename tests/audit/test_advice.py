"""The economics of tiering, by examples computed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from streams.audit.advice import ENOUGH, NEARLY_ALL, SMALL_STREAM, Advice, advise, on_batches

TEN = Decimal(10)


def row(handler: str = "answer", events: int = 1000, escalated: int = 200, **more: Any) -> dict[str, Any]:
    """A worker that costs $0.001 a call, beside a reasoner that costs $0.02, over two days."""
    usual: dict[str, Any] = {
        "handler": handler,
        "events": events,
        "events_a_day": events / 2,
        "escalated": escalated,
        "worker_usd": events * Decimal("0.001"),
        "wasted_usd": escalated * Decimal("0.001"),
        "reasoner_call_usd": Decimal("0.02"),
    }
    return usual | more


def straight(events: int) -> dict[str, Any]:
    """Events that a route sent straight to the reasoner."""
    return row("", events, events, worker_usd=Decimal(0), wasted_usd=Decimal(0))


def advice_text(advice: Advice) -> str:
    return "\n".join(advice.lines)


def test_an_event_costs_a_worker_and_a_share_of_a_reasoner_instead_of_a_reasoner() -> None:
    advice = advise([row()], Decimal(0), TEN)
    (one,) = advice.workers
    # 1,000 events: $20 at the reasoner; $1 for the worker and $4 for the 200 passed on.
    assert one.saved_usd == Decimal(15)
    assert (one.worker_usd, one.wasted_usd) == (Decimal(1), Decimal("0.2"))
    assert (one.escalated, one.break_even) == (0.2, 0.95)
    assert (one.events, one.events_a_day) == (1000, 500.0)


def test_functions_without_a_price_neither_save_nor_cost_and_nothing_is_uncertain() -> None:
    free = row(worker_usd=Decimal(0), wasted_usd=Decimal(0), reasoner_call_usd=Decimal(0))
    money = {"net_saved_usd": Decimal(0), "net_saved_low": 0.0, "net_saved_high": 0.0}
    assert advise([free], Decimal(0), TEN, money).lines[0].startswith("Tiering neither saves nor costs money here")


def test_what_the_listeners_cost_is_taken_off() -> None:
    advice = advise([row(), row("file", 500, 100)], Decimal("2.5"), TEN)
    assert advice.saved_usd == Decimal(15) + Decimal("7.5") - Decimal("2.5")
    assert advice.saved_a_day_usd == Decimal(10)
    assert advice.calls_a_day == 750.0


def test_money_is_exact() -> None:
    third = row(worker_usd=Decimal("0.333333333333"), reasoner_call_usd=Decimal("0.000000000001"))
    (one,) = advise([third], Decimal(0), TEN).workers
    assert one.saved_usd == Decimal("0.000000000800") - Decimal("0.333333333333")


def test_from_so_many_events_a_day_on_the_savings_pay_the_upkeep() -> None:
    # $15 from 1,000 events are $0.015 an event, so $10 a day need 667 events; there are 500, which save $7.50.
    advice = advise([row()], Decimal(0), TEN)
    assert advice.break_even_a_day == pytest.approx(10 / 0.015)
    assert "saves $7.50 a day, less than its upkeep of $10.00" in advice_text(advice)
    assert "from about 667 events a day; there are 500" in advice_text(advice)


def test_events_sent_straight_to_the_reasoner_count_among_the_events_and_save_nothing() -> None:
    advice = advise([straight(1000), row()], Decimal(0), TEN)
    assert [one.worker for one in advice.workers] == ["answer"]
    assert (advice.calls_a_day, advice.saved_usd) == (1000.0, Decimal(15))
    assert advice.break_even_a_day == pytest.approx(10 / 0.0075)


def test_where_it_pays_that_is_said() -> None:
    advice = advise([row(events=10_000, escalated=2000)], Decimal(0), TEN)
    assert "Tiering pays off: it saves $75.00 a day before its upkeep of $10.00, which 667 events" in advice_text(
        advice
    )
    assert len(advice.lines) == 1


def test_a_small_stream_is_advised_to_ask_the_reasoner() -> None:
    advice = advise([row(events=2 * SMALL_STREAM - 2, escalated=10)], Decimal(0), TEN)
    assert f"needs a model {SMALL_STREAM - 1} times a day" in advice_text(advice)
    assert "send every event to the reasoner" in advice_text(advice)
    just_enough = advise([row(events=2 * SMALL_STREAM, escalated=10)], Decimal(0), TEN)
    assert "times a day" not in advice_text(just_enough)


def test_a_stream_without_any_call_is_a_small_one() -> None:
    advice = advise([], Decimal(0), TEN)
    assert (advice.workers, advice.saved_usd, advice.break_even_a_day) == ((), Decimal(0), None)
    assert "0 times a day" in advice_text(advice)


def test_a_worker_that_passes_on_nearly_everything_is_named() -> None:
    advice = advise([row(escalated=int(NEARLY_ALL * 1000))], Decimal(0), TEN)
    assert "answer escalates 80% of its events: that is work for a reasoner" in advice_text(advice)
    assert "that is work" not in advice_text(advise([row(escalated=790)], Decimal(0), TEN))


def test_a_worker_that_costs_more_than_it_saves_is_named() -> None:
    # At half the reasoner's price it pays off while it escalates less than half.
    dear = row(escalated=600, worker_usd=Decimal(10))
    advice = advise([dear], Decimal(0), TEN)
    assert advice.workers[0].saved_usd == Decimal(-2)
    assert "answer costs more than it saves: it escalates 60% of its events and pays off up to 50%" in advice_text(
        advice
    )
    assert "Tiering saves nothing here" in advice_text(advice)
    assert (advice.break_even_a_day, advice.saved_a_day_usd) == (None, Decimal(-1))


def test_a_worker_dearer_than_the_reasoner_never_pays() -> None:
    advice = advise([row(escalated=0, worker_usd=Decimal(40))], Decimal(0), TEN)
    assert advice.workers[0].break_even == -1.0
    assert "answer costs more than it saves: it escalates 0% of its events and pays off up to 0%" in advice_text(advice)


@pytest.mark.parametrize("unknown", [{"worker_usd": None}, {"reasoner_call_usd": None}])
def test_what_an_unknown_price_makes_unknown_is_not_guessed(unknown: dict[str, Any]) -> None:
    advice = advise([row(**unknown), row("file")], Decimal(0), TEN)
    assert [one.saved_usd for one in advice.workers] == [None, Decimal(15)]
    assert advice.workers[0].break_even is None
    assert (advice.saved_usd, advice.saved_a_day_usd, advice.break_even_a_day) == (None, None, None)
    assert "Some calls have no known price, so the savings are unknown" in advice_text(advice)


def test_unknown_listeners_make_the_savings_unknown() -> None:
    assert advise([row()], None, TEN).saved_usd is None


def test_too_few_events_are_not_judged() -> None:
    advice = advise([row(), row("file", ENOUGH - 1, ENOUGH - 1), row("ask", ENOUGH, ENOUGH)], Decimal(0), TEN)
    assert f"file: {ENOUGH - 1} events are too few to judge it." in advice.lines
    assert any(line.startswith("ask costs more than it saves") for line in advice.lines)


def test_a_handler_whose_calls_had_time_is_advised_to_batch_them() -> None:
    one = {"handler": "answer", "calls": 50, "with_room": ENOUGH, "usd": Decimal("0.5"), "saved_usd": Decimal("0.1")}
    (line,) = on_batches([one, one | {"with_room": ENOUGH - 1}, one | {"saved_usd": Decimal(0)}])
    assert line.startswith("answer: 20 of its 50 calls had time for a batch")
    assert 'batch = "1h"' in line
