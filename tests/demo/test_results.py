"""The judgement of the demo's events, and the stories among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.demo.results import DemoResult, TruthFile, read_results
from streams.demo.starter import write_starter
from streams.demo.stories import stories
from streams.pipeline.code import NO_PYTHON
from streams.pipeline.load import load_pipeline

RUN = "live"
TRUTH = (
    {"id": "chat-1", "intent": "question", "label": {"entry": "dogs"}},
    {"id": "chat-2", "intent": "question", "refuse": True},
    {"id": "chat-3", "intent": "nothing"},
    {"id": "chat-4", "intent": "injection"},
)
NOT_FOUND: dict[str, Any] = {"sources": {}, "cache_hit": False, "finish_reason": "end_turn", "status": "answered"}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> TruthFile:
    directory = tmp_path_factory.mktemp("desk")
    pipeline = write_starter(directory, "local")
    (directory / "intents.npz").write_bytes(b"the artifact")
    (directory / "truth.jsonl").write_text("\n".join(map(json.dumps, TRUTH)), "utf-8")
    return TruthFile(directory / "truth.jsonl", load_pipeline(pipeline, NO_PYTHON))


def outcome(event: str, state: str, handler: str = "answer", **more: Any) -> dict[str, Any]:
    tier = "reasoner" if handler == "resolve" else "worker"
    return {"event_id": f"{event}-x", "state": state, "tier": tier, "handler": handler, "intent": "question"} | more


def call(event: str, tier: str, entry: str | None, **more: Any) -> dict[str, Any]:
    handler = "resolve" if tier == "reasoner" else "answer"
    said = {"answer": {"entry": entry}} if entry else {"refusal": {"class": "other", "reason": "no"}}
    return NOT_FOUND | {"event_id": f"{event}-x", "tier": tier, "handler": handler, "response": json.dumps(said)} | more


@pytest.mark.parametrize(
    ("event", "state", "answer", "judgement"),
    [
        ("chat-1", "answered", {"entry": "dogs"}, "right"),
        ("chat-1", "answered", {"entry": "returns"}, "wrong"),
        ("chat-1", "failed", None, "refused needlessly"),
        ("chat-1", "ignored", None, "missed"),
        ("chat-2", "answered", {"entry": "dogs"}, "wrong"),
        ("chat-2", "failed", None, "refused rightly"),
        ("chat-2", "ignored", None, "missed"),
        ("chat-3", "answered", {"entry": "dogs"}, "wrong"),
        ("chat-3", "ignored", None, "nothing to judge"),
    ],
)
def test_an_end_is_judged_by_the_truth_file(
    truth: TruthFile, event: str, state: str, answer: dict[str, str] | None, judgement: str
) -> None:
    assert truth.judge(outcome(event, state, answer=answer and json.dumps(answer))) == judgement


def test_the_labels_are_intents_and_right_answers(truth: TruthFile) -> None:
    assert truth.labels({"chat-1-x", "chat-2-x"}) == [
        {"event_id": "chat-1-x", "aspect": "intent", "label": "question"},
        {"event_id": "chat-1-x", "label": {"entry": "dogs"}},
        {"event_id": "chat-2-x", "aspect": "intent", "label": "question"},
    ]


class FakeAudit:
    """An audit that holds these rows."""

    def __init__(self, outcomes: list[dict[str, Any]], calls: list[dict[str, Any]]) -> None:
        self._tables = {"outcomes": outcomes, "calls": calls}

    def query(self, sql: str, parameters: dict[str, Any]) -> Any:
        rows = next(rows for name, rows in self._tables.items() if f"FROM {name}" in sql)
        wanted = [row for row in rows if row["event_id"] in parameters["ids"]]
        return type("Rows", (), {"records": lambda _: wanted})()


def results(truth: TruthFile, outcomes: list[dict[str, Any]], calls: list[dict[str, Any]]) -> list[DemoResult]:
    return read_results(FakeAudit(outcomes, calls), RUN, {row["event_id"] for row in outcomes}, truth)  # type: ignore[arg-type]


def test_the_stories_are_those_of_this_run(truth: TruthFile) -> None:
    right = json.dumps({"entry": "dogs"})
    found = results(
        truth,
        [
            outcome("chat-1", "answered", "resolve", answer=right),
            outcome("chat-2", "failed", "resolve", answer=None),
            outcome("chat-4", "ignored", answer=None, intent="injection"),
        ],
        [call("chat-1", "worker", "returns"), call("chat-1", "reasoner", "dogs"), call("chat-2", "reasoner", None)],
    )
    assert found[0].attempt_right is False
    told = stories(found)
    assert [one.event_id for one in told] == ["chat-1-x", "chat-2-x", "chat-4-x"]
    assert [one.line.split(":")[0] for one in told] == [
        "A wrong answer to a question",
        "A question that no tier can answer",
        "Text that gives the model orders",
    ]


def test_a_wrong_answer_is_left_out_of_the_stories(truth: TruthFile) -> None:
    wrong = json.dumps({"entry": "returns"})
    rows = [outcome("chat-1", "answered", answer=wrong)]
    assert stories(results(truth, rows, [call("chat-1", "worker", "returns", cache_hit=True)])) == []


def test_an_answer_from_the_store_is_a_story_if_it_is_right(truth: TruthFile) -> None:
    rows = [outcome("chat-1", "answered", answer=json.dumps({"entry": "dogs"}))]
    (told,) = stories(results(truth, rows, [call("chat-1", "worker", "dogs", cache_hit=True)]))
    assert told.line.startswith("A question asked before")


def test_the_pack_has_a_truth_for_each_event_that_no_rule_ends() -> None:
    pack = Path(__file__).parents[2] / "streams" / "demo" / "pack"
    for row in map(json.loads, (pack / "truth.jsonl").read_text("utf-8").splitlines()):
        asks = row["intent"] in ("question", "order", "delicate", "law") and not row.get("duplicate_of")
        assert asks == ("label" in row or row.get("refuse", False)), row["id"]
