"""The contents of cases: read by the handlers' contracts, redacted, and without erased events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.core.messages import Event, PanelAnswer, PanelCase, Tier
from streams.panels import content
from streams.panels.content import CaseContent, content_digest, read_contents
from streams.pipeline.load import Pipeline
from tests.builders import START, call, event, outcome, reply, thought, verdict
from tests.harness.audit import write
from tests.harness.shop import PIPELINE, shop

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("shop"), PIPELINE + "\n[redaction]\n")


def answer(of: Event, option: str, tier: Tier, call_id: str, *, delivered: bool = True) -> PanelAnswer:
    handler = {"worker": "answer", "reasoner": "think"}[tier]
    return PanelAnswer(
        option=option, run=of.origin.run, tier=tier, handler=handler, call_id=call_id, delivered=delivered
    )


def case(of: Event, *answers: PanelAnswer) -> PanelCase:
    """A case whose id is that of its event."""
    return PanelCase(
        panel="p", case_id=of.origin.event_id, event_id=of.origin.event_id, run=of.origin.run,
        event_time=of.origin.event_time, task="t", answers=answers, left="", position=1, content_digest="",
        created_at=START,
    )  # fmt: skip


def read(config: ClickHouseConfig, pipeline: Pipeline, *cases: PanelCase) -> dict[str, CaseContent]:
    audit = Audit(config)
    try:
        return read_contents(audit, pipeline, cases)
    finally:
        audit.close()


def ended(of: Event, said: Any, **more: Any) -> tuple[Any, ...]:
    """The rows of an event that its worker answered."""
    made = call(of, response=reply(said))
    return verdict(of), made, replace(outcome(of), answer=said, call_id=made.call_id, **more)


def test_a_rater_sees_the_event_and_both_answers(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("pair", "order 7?", run="pair", data='{"shop":{"id":3}}', image="ab")
    refused = call(of, response=reply({"number": "7"}), decision="escalated")
    reasoned = thought(of, {"number": "8"})
    left = replace(outcome(of), tier="reasoner", handler="think", answer='{"number":"8"}', call_id=reasoned.call_id)
    write(config, verdict(of), refused, reasoned, left)
    both = (
        answer(of, "worker", "worker", refused.call_id, delivered=False),
        answer(of, "reasoner", "reasoner", reasoned.call_id),
    )
    found = read(config, pipeline, case(of, *both))["pair"]
    assert (found.text, found.image) == ("order 7?", "ab")
    assert found.data == '{\n  "shop": {\n    "id": 3\n  }\n}'
    assert found.answers == {"worker": '{\n  "number": "7"\n}', "reasoner": '{\n  "number": "8"\n}'}


def test_texts_are_redacted_even_if_the_audit_has_them_in_full(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("mail", "I am ann@example.org", run="mail", data='{"from": "ann@example.org"}')
    write(config, *ended(of, '"Write to ann@example.org"'))
    found = read(config, pipeline, case(of, answer(of, "outcome", "worker", "")))["mail"]
    assert (found.text, found.data) == ("I am [email]", '{\n  "from": "[email]"\n}')
    assert found.answers == {"outcome": "Write to [email]"}


def test_an_erased_event_is_missing(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    gone, kept = event("forgotten", run="erased"), event("kept", run="erased")
    write(config, *ended(gone, '"7"'), *ended(kept, '"7"'))
    client = config.connect()
    client.insert(
        "erased_events_rows", [["forgotten", "x", START]], column_names=["event_id", "erasure_id", "erased_at"]
    )
    client.close()
    cases = [case(of, answer(of, "outcome", "worker", "")) for of in (gone, kept)]
    assert set(read(config, pipeline, *cases)) == {"kept"}


@pytest.mark.parametrize("lost", ["the event", "the answer", "one of two answers"])
def test_a_case_that_cannot_be_shown_whole_is_missing(config: ClickHouseConfig, pipeline: Pipeline, lost: str) -> None:
    of = event("lost", "" if lost == "the event" else "where?", run=lost)
    event_row, made, left = ended(of, None if lost == "the answer" else '"7"')
    made = replace(made, response=None if lost == "the answer" else made.response)
    write(config, event_row, made, left)
    answers = [answer(of, "worker", "worker", made.call_id)]
    if lost == "one of two answers":
        answers.append(answer(of, "reasoner", "reasoner", "0" * 32, delivered=False))
    assert read(config, pipeline, case(of, *answers)) == {}


def test_the_answer_of_another_run_is_read_from_that_run(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    one, other = event("both", run="before"), event("both", run="after")
    rows = ended(other, '"8"')
    write(config, *ended(one, '"7"'), *rows)
    answers = (
        answer(one, "before", "worker", ""),
        answer(other, "after", "worker", rows[2].call_id, delivered=False),
    )
    assert read(config, pipeline, case(one, *answers))["both"].answers == {"before": "7", "after": "8"}


def test_more_cases_than_one_query_holds_are_all_read(
    config: ClickHouseConfig, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [event(f"e{number}", f"text {number}", run="many", hour=number % 3) for number in range(10)]
    write(config, *(row for of in events for row in ended(of, '"7"')))
    monkeypatch.setattr(content, "BATCH", 3)
    found = read(config, pipeline, *(case(of, answer(of, "outcome", "worker", "")) for of in events))
    assert {name: one.text for name, one in found.items()} == {of.origin.event_id: of.text for of in events}


@pytest.mark.parametrize(
    "change",
    [{"text": "b"}, {"data": "{}"}, {"image": "x"}, {"answers": {"outcome": "8"}}, {"answers": {"worker": "7"}}],
)
def test_the_digest_changes_with_all_that_a_rater_sees(change: Mapping[str, Any]) -> None:
    shown = CaseContent(text="a", data="", image=None, answers={"outcome": "7"})
    assert content_digest(replace(shown, **change)) != content_digest(shown)
