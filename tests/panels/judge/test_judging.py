"""A recorded model judges cases: its calls, its judgements, and the ends of its work."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.app.settings import read_settings
from streams.core.errors import ConfigError, ModelError, ServiceError
from streams.core.messages import Call, Judgement, Origin, PanelCase
from streams.panels.content import CaseContent
from streams.panels.judge.judging import FAILURES_IN_A_ROW, UNSEEN, JudgeOrder, Judging, JudgingTally, Send, to_judge
from streams.panels.judge.money import JudgeMoney
from streams.panels.judge.verdicts import SWAPPED, Showing, showings
from streams.panels.publication import PanelMessage
from streams.pipeline.load import Pipeline
from tests.builders import origin
from tests.harness.judge import ALONE, DESK, MODEL, SURE, content, judges_shop, pair, record, replied, request
from tests.harness.panels import case, evidence, panel, said
from tests.harness.shop import shop

ORDER = JudgeOrder(model="judge", max_cost_usd=Decimal(1))
DOWN = ModelError("unauthorized", "The key was refused.", "Check it.", retryable=False)


class Sent:
    """Takes what is sent to Kafka, and confirms it at once."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.judgements: list[Judgement] = []

    def __call__(self, messages: Sequence[PanelMessage]) -> Future[None]:
        for one in messages:
            (self.calls if isinstance(one, Call) else self.judgements).append(one)  # type: ignore[arg-type]
        confirmed: Future[None] = Future()
        confirmed.set_result(None)
        return confirmed


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return judges_shop(tmp_path)


@pytest.fixture
def sent() -> Sent:
    return Sent()


def judge(pipeline: Pipeline, sent: Send, cases: Sequence[PanelCase], **more: Any) -> JudgingTally:
    """Let the recorded model judge the cases once each."""
    contents: dict[str, CaseContent] = more.pop("contents", {one.case_id: content(one) for one in cases})
    origins: dict[str, Origin] = {one.event_id: origin(one.event_id, data_subject="someone") for one in cases}
    order = replace(ORDER, **more)
    shown = [one for of in cases for one in showings(of, MODEL, both_orders=order.both_orders)]
    tally = JudgingTally()
    Judging(
        settings=read_settings({"ANTHROPIC_API_KEY": "test"}), pipeline=pipeline, rubric=DESK, order=order,
        contents=contents, origins=origins, send=sent, money=JudgeMoney(order.max_cost_usd),
    ).judge(shown, tally)  # fmt: skip
    return tally


def recorded(pipeline: Pipeline, cases: Sequence[PanelCase], answer: Any, **more: Any) -> None:
    """Record the same reply, or error, to each case."""
    reply = answer if isinstance(answer, ModelError) else replied(answer, **more)
    record(pipeline, *((request(pipeline, content(one), order_of(one)), reply) for one in cases))


def order_of(of: PanelCase) -> tuple[str, ...]:
    return showings(of, MODEL, both_orders=False)[0].order


def test_each_case_is_one_audited_call_of_the_tier_judge(pipeline: Pipeline, sent: Sent) -> None:
    recorded(pipeline, [pair(1)], SURE)
    tally = judge(pipeline, sent, [pair(1)])
    (call,) = sent.calls
    assert (call.tier, call.handler, call.request_model, call.decision_reason) == (
        "judge",
        "judge",
        MODEL,
        "panel week-48",
    )
    assert (call.status, call.decision, call.origin) == ("answered", "found", origin("e1", data_subject="someone"))
    assert call.cost_usd == tally.usd == Decimal("0.00035")  # 100 tokens at $1 and 50 at $5 a million
    assert "question c1" in call.prompt
    assert [one.case_id for one in sent.judgements] == ["c1"] * 5


def test_single_answers_and_pairs_are_judged_in_one_go(pipeline: Pipeline, sent: Sent) -> None:
    single, two = case(1), pair(2)
    record(
        pipeline,
        (request(pipeline, content(single), ("outcome",)), replied(ALONE)),
        (request(pipeline, content(two), ("worker", "reasoner")), replied(SURE)),
    )
    assert judge(pipeline, sent, [single, two]).judged == 2


def test_both_orders_are_two_calls_under_two_names(pipeline: Pipeline, sent: Sent) -> None:
    orders = (("worker", "reasoner"), ("reasoner", "worker"))
    record(pipeline, *((request(pipeline, content(pair(1)), one), replied(SURE)) for one in orders))
    assert judge(pipeline, sent, [pair(1)], both_orders=True).judged == 2
    chosen = {one.judge: one.verdict for one in sent.judgements if one.question == "better"}
    assert chosen == {MODEL: "worker", f"{MODEL}{SWAPPED}": "reasoner"}


def test_the_calls_stop_before_they_can_cost_more_than_the_limit(pipeline: Pipeline, sent: Sent) -> None:
    cases = [case(number) for number in range(1, 30)]
    recorded(pipeline, cases, ALONE, output_tokens=2000)  # nearly all that a reply may have
    tally = judge(pipeline, sent, cases, max_cost_usd=Decimal("0.05"))
    assert "limit of $0.05" in tally.stopped
    assert 1 < tally.judged < len(cases)
    assert tally.usd == sum((call.cost_usd or Decimal(0) for call in sent.calls), Decimal(0)) <= Decimal("0.05")


def test_the_cases_are_judged_in_the_order_of_the_draw_up_to_the_limit(pipeline: Pipeline, sent: Sent) -> None:
    cases = [case(number) for number in range(1, 30)]
    recorded(pipeline, cases, ALONE, output_tokens=2000)
    tally = judge(pipeline, sent, cases, max_cost_usd=Decimal("0.05"))
    assert {one.case_id for one in sent.judgements} == {f"c{number}" for number in range(1, tally.judged + 1)}


def test_calls_that_fail_one_after_another_end_the_work(pipeline: Pipeline, sent: Sent) -> None:
    cases = [case(number) for number in range(1, 60)]
    recorded(pipeline, cases, DOWN)
    tally = judge(pipeline, sent, cases)
    assert "The key was refused." in tally.stopped
    assert FAILURES_IN_A_ROW <= tally.failed < len(cases)
    assert (tally.judged, sent.judgements) == (0, [])
    assert {call.decision for call in sent.calls} == {"failed"}


def test_a_case_that_is_shown_again_has_a_call_of_its_own(pipeline: Pipeline, sent: Sent) -> None:
    recorded(pipeline, [case(1)], DOWN)
    judge(pipeline, sent, [case(1)])
    recorded(pipeline, [case(1)], ALONE)
    assert judge(pipeline, sent, [case(1)]).judged == 1
    first, second = sent.calls
    assert first.call_id != second.call_id


def test_a_reply_against_the_form_is_a_skip_that_was_paid_for(pipeline: Pipeline, sent: Sent) -> None:
    recorded(pipeline, [case(1)], "I like both.")
    tally = judge(pipeline, sent, [case(1)])
    assert (tally.judged, tally.skipped, tally.failed) == (0, 1, 0)
    assert tally.usd > 0
    assert [one.kind for one in sent.judgements] == ["skip"]


def test_cases_with_an_image_are_skipped_and_erased_ones_left_out_without_a_call(
    pipeline: Pipeline, sent: Sent
) -> None:
    image, gone = case(1), case(2)
    (pipeline.path.parent / "judge.jsonl").write_text("")
    tally = judge(pipeline, sent, [image, gone], contents={"c1": content(image, image="ab")})
    assert (tally.unseen, tally.gone, tally.judged, sent.calls) == (1, 1, 0, [])
    assert [(one.case_id, one.kind, one.comment) for one in sent.judgements] == [("c1", "skip", UNSEEN)]


def test_a_paid_model_without_a_price_is_refused(pipeline: Pipeline, sent: Sent, tmp_path: Path) -> None:
    text = pipeline.path.read_text().replace(
        f'provider = "recorded"\nmodel = "{MODEL}"\ncassette = "judge.jsonl"\npriced_as = "claude-haiku-4-5"',
        'provider = "claude"\nmodel = "claude-unknown-9"',
    )
    with pytest.raises(ConfigError, match="have no price") as refused:
        judge(shop(tmp_path, text), sent, [case(1)])
    assert "priced_as" in refused.value.remedy


def test_nothing_more_is_asked_once_kafka_does_not_confirm(pipeline: Pipeline) -> None:
    asked: list[Call] = []

    def lost(messages: Sequence[PanelMessage]) -> Future[None]:
        asked.extend(one for one in messages if isinstance(one, Call))
        failed: Future[None] = Future()
        failed.set_exception(ServiceError("Kafka has not confirmed a message.", "Check the broker."))
        return failed

    cases = [case(number) for number in range(1, 60)]
    recorded(pipeline, cases, ALONE)
    with pytest.raises(ServiceError, match="not confirmed"):
        judge(pipeline, lost, cases)
    assert 0 < len(asked) < len(cases)


def shown(found: tuple[list[Showing], int]) -> list[tuple[str, str]]:
    return [(one.case.case_id, one.judge) for one in found[0]]


def test_gold_cases_come_first_and_repeats_are_never_judged() -> None:
    drawn = [
        case(0, case_id="gold", purpose="gold"), case(0, case_id="again", purpose="repeat"), case(1),
        case(2, purpose="judge"),
    ]  # fmt: skip
    of = evidence(panel(), drawn)
    assert shown(to_judge(of, ORDER, "m")) == [("gold", "m"), ("c1", "m")]
    assert shown(to_judge(of, replace(ORDER, further=True), "m")) == [("gold", "m"), ("c1", "m"), ("c2", "m")]


def test_a_case_is_judged_once_by_each_model_and_people_do_not_count() -> None:
    done = said("c1", "m", "yes", judge_kind="model")
    of = evidence(panel(), [case(1), case(2)], done, said("c2", "m", "yes"))
    assert (shown(to_judge(of, ORDER, "m")), to_judge(of, ORDER, "m")[1]) == ([("c2", "m")], 1)
    assert shown(to_judge(of, ORDER, "other")) == [("c1", "other"), ("c2", "other")]


def test_a_single_answer_asks_nothing_where_the_rubric_only_compares() -> None:
    rubric = 'title = "t"\n[[question]]\nname = "better"\nask = "Which?"\ntype = "pick"\n'
    of = evidence(panel(rubric=rubric), [case(1), pair(2)])
    assert shown(to_judge(of, ORDER, "m")) == [("c2", "m")]
