"""Prior cases, as they are read from the audit, and what they are labelled with."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.providers import comparison
from streams.audit.query import Audit
from streams.calling.task import Task
from streams.core.answer_comparison import Agree
from streams.core.errors import ConfigError
from streams.core.fingerprint import draw
from streams.evaluation.cases import (
    AuditPart,
    Case,
    labelled,
    left_out,
    of_this_version,
    read_cases,
    read_ignored,
    set_aside,
)
from streams.models.verifier.example import Example
from streams.pipeline.load import Pipeline
from tests.builders import REASONER_USD, START, WORKER_USD, call, event, label, reply, sources, thought, verdict
from tests.harness.audit import write
from tests.harness.shop import PIPELINE, case, shop

WITH_FUNCTION = PIPELINE.replace(
    'confidence = "verbalized"', 'confidence = ["verbalized", "json:loads", "verifier"]\nverifier = "verifier.npz"'
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("shop"))


def read(config: ClickHouseConfig, pipeline: Pipeline, run: str, *workers: str, **since: Any) -> list[Case]:
    audit = Audit(config)
    agrees: dict[str, Agree] = {name: comparison(one.correct) for name, one in pipeline.workers.items()}
    try:
        return read_cases(audit, pipeline, agrees, workers or ("answer",), AuditPart(run=run, **since))
    finally:
        audit.close()


def test_a_case_joins_the_call_the_event_the_label_and_the_reasoners_answer(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    of = event("a", "order 7?", run="join", data='{"shop": 3}', image="ab")
    asked = call(
        of, response=reply({"number": "7"}, 0.9), sources=sources(verbalized=0.9), raw_confidence=0.9, confidence=0.8,
        decision="escalated", calibration="cal", pipeline="pipe",
    )  # fmt: skip
    write(config, verdict(of), asked, thought(of, {"number": "8"}), label(of, {"number": "8"}))
    (found,) = read(config, pipeline, "join")
    assert (found.event_id, found.event_time, found.intent) == ("a", START, "order")
    assert (found.handler, found.handler_version) == ("answer", "v")
    assert found.task == found.whole == Task(text="order 7?", data={"shop": 3}, image="ab")
    assert (found.attempt.answer, found.attempt.call_id) == ('{"number": "7"}', asked.call_id)
    assert (found.attempt.raw_confidence, found.attempt.confidence) == (0.9, 0.8)
    assert (found.calibration, found.pipeline, found.accepted, found.repeated) == ("cal", "pipe", False, False)
    assert (found.correct, found.agrees, found.reasoner_correct) == (False, False, True)
    assert (found.cost_usd, found.reasoner_cost_usd) == (WORKER_USD, REASONER_USD)


def test_an_event_published_again_at_another_time_is_one_case(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    first, again = event("a", run="twice"), event("a", run="twice", hour=1)
    write(config, verdict(first), verdict(again), call(first, response=reply({"number": "7"})))
    assert len(read(config, pipeline, "twice")) == 1


def test_two_events_with_one_id_are_never_taken_for_one(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    """With the same id and time, only the content distinguishes them."""
    for number in ("7", "8"):
        of = event("a", f"order {number}?", run="conflict")
        of = replace(of, origin=replace(of.origin, content_digest=number))
        asked = replace(call(of, response=reply({"number": number}), decision="escalated"), call_id=number * 32)
        write(config, verdict(of), asked, replace(thought(of, {"number": number}), call_id=number * 31 + "t"))
    found = read(config, pipeline, "conflict")
    assert [(one.task.text, one.attempt.answer, one.agrees) for one in found] == [
        ("order 7?", '{"number": "7"}', True),
        ("order 8?", '{"number": "8"}', True),
    ]


def test_without_a_label_and_a_reasoner_nothing_is_known(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("a", run="alone")
    write(config, verdict(of), call(of, response=reply({"number": "7"})))
    (found,) = read(config, pipeline, "alone")
    assert (found.correct, found.agrees, found.reasoner_correct, found.reasoner_cost_usd) == (None,) * 4
    assert (found.accepted, found.propensity) == (True, None)


def test_the_latest_label_wins_from_any_source_and_labels_of_intents_do_not_count(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    one, two, three = (event(name, run="labels", hour=hour) for hour, name in enumerate("abc"))
    write(
        config,
        *(message for of in (one, two, three) for message in (verdict(of), call(of, response=reply({"number": "7"})))),
        label(one, "7", hours=2, source="ann"),
        label(one, "8", hours=1, source="bob"),
        label(two, "7", hours=1, source="ann"),
        label(two, "8", hours=2, source="bob"),
        label(three, "7", aspect="intent"),
    )
    assert [found.correct for found in read(config, pipeline, "labels")] == [True, False, None]


def test_of_two_answers_of_the_reasoner_the_latest_counts_and_what_it_refused_does_not(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    twice, refused = event("a", run="thoughts"), event("b", run="thoughts")
    late = replace(thought(twice, {"number": "8"}), call_id="l" * 32, started_at=START.replace(day=2))
    write(
        config,
        *(message for of in (twice, refused) for message in (verdict(of), call(of, response=reply({"number": "7"})))),
        thought(twice, {"number": "7"}),
        late,
        thought(refused, {"number": "7"}, status="refused", refusal_class="policy", decision="failed"),
    )
    assert [found.agrees for found in read(config, pipeline, "thoughts")] == [False, None]


def test_another_runs_rows_are_not_mixed_in(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    mine, other = event("a", run="mine"), event("a", "another text", run="other")
    write(config, verdict(mine), call(mine, response=reply({"number": "7"})))
    write(
        config, verdict(other), call(other, response=reply({"number": "9"})), label(other, "7"),
        thought(other, {"number": "7"}),
    )  # fmt: skip
    (found,) = read(config, pipeline, "mine")
    assert (found.task.text, found.correct, found.agrees) == ("my order", None, None)


def test_cases_come_oldest_first_and_from_a_moment_on(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    for hour, name in ((3, "c"), (1, "a"), (2, "b")):
        of = event(name, run="since", hour=hour)
        write(config, verdict(of), call(of, response=reply({"number": "7"})))
    assert [found.event_id for found in read(config, pipeline, "since")] == ["a", "b", "c"]
    later = read(config, pipeline, "since", since=START + timedelta(hours=2))
    assert [found.event_id for found in later] == ["b", "c"]


def test_retried_attempts_and_outvoted_samples_are_not_cases(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("a", run="tries")
    write(
        config,
        verdict(of),
        call(of, status="failed", decision="retried"),
        call(of, response=reply({"number": "1"}), decision="sampled", sample=1),
        call(of, response=reply({"number": "7"}), attempt=2),
    )
    assert [found.attempt.answer for found in read(config, pipeline, "tries")] == ['{"number": "7"}']


def test_only_the_workers_asked_for_are_read(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    one, two = event("a", run="workers"), event("b", run="workers", hour=1)
    write(config, verdict(one), call(one, response=reply({"number": "7"})))
    write(config, verdict(two, "add"), call(two, "add", response="3"))
    assert [found.handler for found in read(config, pipeline, "workers")] == ["answer"]
    assert [found.handler for found in read(config, pipeline, "workers", "answer", "add")] == ["answer", "add"]


def test_cases_of_one_time_come_in_an_order_independent_of_their_ids(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    of = [event(f"e{number:02}", run="moment") for number in range(20)]
    write(config, *(message for one in of for message in (verdict(one), call(one, response=reply({"number": "7"})))))
    found = [case.event_id for case in read(config, pipeline, "moment")]
    assert found == [case.event_id for case in read(config, pipeline, "moment")]
    assert sorted(found) != found


def test_an_answer_from_the_store_is_marked(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    first, again = event("a", run="store"), event("b", run="store", hour=1)
    for of, hit in ((first, False), (again, True)):
        write(config, verdict(of), call(of, response=reply({"number": "7"}), cache_hit=hit))
    assert [found.repeated for found in read(config, pipeline, "store")] == [False, True]


@pytest.mark.parametrize(
    ("worker", "response", "truth", "read_as"),
    [
        ("answer", reply({"number": "7", "shop": 1}), {"number": "7"}, ('{"number": "7", "shop": 1}', True)),
        ("answer", reply({"number": "7"}), "8", ('{"number": "7"}', False)),
        ("name", reply(" Ann "), "Ann", ('" Ann "', True)),
        ("name", reply("Ann"), "ann", ('"Ann"', False)),
        ("add", "1005", 1000, ("1005", True)),
        ("add", '"about 1,020 in all"', 1000, ('"about 1,020 in all"', False)),
    ],
)
def test_an_answer_is_read_as_it_was_at_the_time_and_compared_by_the_workers_own_rule(
    config: ClickHouseConfig, pipeline: Pipeline, worker: str, response: str, truth: Any, read_as: tuple[str, bool]
) -> None:
    run = f"{worker} {response} {truth}"
    of = event("a", run=run)
    write(config, verdict(of, worker), call(of, worker, response=response), label(of, truth))
    (found,) = read(config, pipeline, run, worker)
    assert (found.attempt.answer, found.correct) == read_as


def test_a_worker_sees_of_the_event_what_it_asks_for(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("a", "Ann here", run="inputs", data='{"shop": 3}')
    write(config, verdict(of, "name"), call(of, "name", response=reply("Ann")))
    (found,) = read(config, pipeline, "inputs", "name")
    assert found.task == Task(text="Ann here")
    assert found.whole.data == {"shop": 3}


def test_a_refusal_is_neither_right_nor_wrong(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("a", run="refusal")
    refused = call(
        of, response='{"refusal": {"class": "policy", "reason": "no"}}', status="refused", refusal_class="policy",
        decision="escalated",
    )  # fmt: skip
    write(config, verdict(of), refused, thought(of, {"number": "7"}), label(of, "7"))
    (found,) = read(config, pipeline, "refusal")
    assert (found.attempt.status, found.attempt.refusal_class, found.attempt.answer) == ("refused", "policy", None)
    assert (found.correct, found.agrees, found.reasoner_correct) == (None, None, True)
    assert labelled([found], "people") == []


def test_what_a_reply_says_of_itself_is_kept_and_what_judged_it_is_not(
    config: ClickHouseConfig, tmp_path: Path
) -> None:
    (tmp_path / "verifier.npz").write_bytes(b"its bytes are only hashed")
    of = event("a", run="sources")
    given = sources(verbalized=0.9, own=0.4, verifier=0.7)
    given = (*given, *(replace(one, label="json:loads") for one in sources(x=0.2)))
    write(config, verdict(of), call(of, response=reply({"number": "7"}), sources=given, raw_confidence=0.7))
    (found,) = read(config, shop(tmp_path, WITH_FUNCTION), "sources")
    assert set(found.attempt.sources) == set(sources(verbalized=0.9, own=0.4))


def test_the_cases_of_a_worker_s_current_version_are_selected(pipeline: Pipeline) -> None:
    worker = pipeline.workers["answer"]
    now = case(1, handler_version=worker.version)
    assert list(of_this_version([case(0), now, replace(now, handler="name")], worker)) == [now]


# ---- Ignored events ----


def test_ignored_events_are_read_without_duplicates_and_only_those_of_the_run(config: ClickHouseConfig) -> None:
    seen = [event(name, f"text {name}", run="ignored", hour=hour) for hour, name in enumerate("abcd")]
    write(
        config,
        verdict(seen[0], "", action="ignore"),
        verdict(seen[1], "", action="duplicate"),
        verdict(seen[2]),
        verdict(replace(seen[3], data='{"shop": 3}'), "", action="ignore"),
        verdict(event("a", "not mine", run="ignored-too"), "", action="ignore"),
    )
    audit = Audit(config)
    try:
        first = Example(text="text a", data={}, answer=None)
        last = Example(text="text d", data={"shop": 3}, answer=None)
        assert read_ignored(audit, AuditPart(run="ignored")) == [first, last]
        assert read_ignored(audit, AuditPart(run="ignored", since=START + timedelta(hours=3))) == [last]
    finally:
        audit.close()


# ---- What cannot be compared ----

REDACTED = PIPELINE.replace('name = "shop"', 'name = "shop"\n\n[redaction.patterns]\nticket = "T-[0-9]+"', 1)


@pytest.fixture(scope="module")
def redacting(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("redacting"), REDACTED)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ({"number": "[phone]"}, {"number": "[phone]"}),  # of two different numbers both are left as this
        ({"number": "[phone]"}, {"number": "5551234"}),
        ({"number": "5551234"}, {"number": "[phone]"}),
        ({"number": "[phone]"}, "[phone]"),
        ({"number": "call [redaction failed] today"}, "now"),
        ({"number": "[ticket]"}, "[ticket]"),
    ],
)
def test_what_redaction_hid_is_neither_right_nor_wrong(
    config: ClickHouseConfig, redacting: Pipeline, answer: Any, truth: Any
) -> None:
    run = f"hidden {answer} {truth}"
    of = event("a", run=run)
    write(config, verdict(of), call(of, response=reply(answer)), label(of, truth), thought(of, {"number": "[phone]"}))
    (found,) = read(config, redacting, run)
    assert (found.correct, found.agrees, found.reasoner_correct) == (None, None, None)
    assert labelled([found], "people") == []
    (told,) = left_out([found], "people")
    assert "1 answers count as neither right nor wrong" in told
    assert "redaction hid a part of it (for example, event a)" in told
    assert len(left_out([found], "reasoner")) == 1


def test_what_redaction_hid_elsewhere_does_not_matter(config: ClickHouseConfig, redacting: Pipeline) -> None:
    of = event("a", run="elsewhere")
    answer = {"number": "7", "note": "call [phone]"}
    write(config, verdict(of), call(of, response=reply(answer)), label(of, {"number": "7", "note": "[phone]"}))
    (found,) = read(config, redacting, "elsewhere")
    assert found.correct is True


def test_eighty_answers_that_redaction_made_equal_prove_nothing(config: ClickHouseConfig, redacting: Pipeline) -> None:
    hidden = {"number": "[phone]"}
    events = [event(f"e{number}", f"text {number}", run="proof") for number in range(80)]
    write(
        config,
        *(one for of in events for one in (verdict(of), call(of, response=reply(hidden)), label(of, hidden))),
    )
    cases = read(config, redacting, "proof")
    assert (len(cases), labelled(cases, "people")) == (80, [])


@pytest.mark.parametrize(
    ("worker", "answer", "truth", "said"),
    [
        ("answer", {"number": "7"}, {"nummer": "7"}, "the label has no field 'number'; is 'nummer' meant?"),
        ("name", "Ann", {"name": "Ann"}, "is not of type 'string'"),
        ("name", "Ann", ["Ann"], "is not of type 'string'"),
        ("add", 7, "none", "there is no number in it"),
        ("add", {"sum": 7}, 7, "it is a number, the answer is an object"),
    ],
)
def test_a_label_that_no_answer_could_equal_is_named_and_not_counted_as_wrong(
    config: ClickHouseConfig, pipeline: Pipeline, worker: str, answer: Any, truth: Any, said: str
) -> None:
    run = f"misfit {worker} {truth}"
    of = event("a", run=run)
    response = json.dumps(answer) if worker == "add" else reply(answer)
    write(config, verdict(of, worker), call(of, worker, response=response), label(of, truth))
    (found,) = read(config, pipeline, run, worker)
    assert found.correct is None
    assert said in found.not_graded
    assert said in left_out([found], "people")[0]


@pytest.mark.parametrize(
    ("worker", "answer", "truth", "right"),
    [
        ("answer", {"number": "7"}, "8", False),
        ("answer", {"number": "7"}, "7", True),
        ("answer", {"shop": 1}, {"number": "7"}, False),  # it is the answer that lacks the field
        ("name", "7", 7, True),  # a text that looks like a number, as a label that was typed without quotes
        ("name", "Ann", 8, False),
        ("add", 7, "about 7.0", True),
    ],
)
def test_a_label_that_an_answer_could_equal_counts(
    config: ClickHouseConfig, pipeline: Pipeline, worker: str, answer: Any, truth: Any, right: bool
) -> None:
    run = f"fits {worker} {answer} {truth}"
    of = event("a", run=run)
    response = json.dumps(answer) if worker == "add" else reply(answer)
    write(config, verdict(of, worker), call(of, worker, response=response), label(of, truth))
    (found,) = read(config, pipeline, run, worker)
    assert (found.correct, found.not_graded) == (right, "")


def test_a_reasoner_of_another_shape_says_nothing_of_the_worker(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("a", run="shapes")
    write(
        config, verdict(of, "name"), call(of, "name", response=reply("Ann")), thought(of, {"number": "7"}),
        label(of, "Ann"),
    )  # fmt: skip
    (found,) = read(config, pipeline, "shapes", "name")
    assert (found.correct, found.agrees, found.reasoner_correct) == (True, None, None)
    assert "is not of type 'string'" in left_out([found], "reasoner")[0]


# ---- A case is a task ----


def test_events_of_one_task_are_one_task_and_redacted_ones_go_by_their_fingerprint(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    texts = {"a": "Where?", "b": " Where?\n", "c": "Who?", "d": "ring [phone]", "e": "ring [phone]", "f": ""}
    for name, text in texts.items():
        of = event(name, text, run="tasks")
        write(config, replace(verdict(of), fingerprint=f"f-{name}"), call(of, response=reply({"number": "7"})))
    ids = {one.event_id: one.task_id for one in read(config, pipeline, "tasks")}
    assert ids["a"] == ids["b"] != ids["c"]
    assert (ids["d"], ids["e"], ids["f"]) == ("f-d", "f-e", "f-f")


def test_a_task_is_on_one_side_only_in_all_its_events() -> None:
    cases = [replace(case(n), task=Task(text=f"task {n % 40}")) for n in range(800)]
    first, second = set_aside(cases, "salt", 0.5)
    assert len(first) + len(second) == 800
    assert not {one.task.text for one in first} & {one.task.text for one in second}
    assert 5 <= len({one.task.text for one in first}) <= 35


def test_by_the_reasoners_word_the_first_case_of_a_task_stands_for_it() -> None:
    """Of a task that came often one event was surely explored: taking that one would favour frequent tasks."""
    cases = [replace(one, task=Task(text=one.event_id[:3])) for one in explored(400)]
    known = labelled(cases, "reasoner")
    assert len({one.task_id for one, _ in known}) == len(known)
    firsts: dict[str, Case] = {}
    for one in cases:
        firsts.setdefault(one.task_id, one)
    assert all(one is firsts[one.task_id] for one, _ in known)


# ---- Who says what is right ----


def test_people_label_what_they_labelled() -> None:
    cases = [case(0, correct=True), case(1, correct=False), case(2, agrees=True)]
    assert labelled(cases, "people") == [(cases[0], True), (cases[1], False)]


def test_by_the_reasoners_word_something_must_have_been_explored() -> None:
    with pytest.raises(ConfigError, match=r"explore = 0\.01") as caught:
        labelled([case(0, accepted=False, agrees=True)], "reasoner")
    assert caught.value.key == "labels"


def explored(count: int = 4000, share: float = 0.1) -> list[Case]:
    """Half accepted, each with the chance to be explored, and half escalated, of which all are known."""
    accepted = [
        case(n, propensity=share, agrees=True if draw("explore", f"call-{n}") < share else None) for n in range(count)
    ]
    return [*accepted, *(case(n, accepted=False, agrees=False) for n in range(count, 2 * count))]


def test_all_that_was_explored_is_kept_and_of_the_escalated_the_same_share() -> None:
    cases = explored()
    known = labelled(cases, "reasoner")
    accepted = [one for one, right in known if right]
    assert accepted == [one for one in cases if one.accepted and one.agrees is not None]
    escalated = len(known) - len(accepted)
    assert 340 <= escalated <= 460  # 400 of 4,000, and three standard deviations
    assert labelled(cases, "reasoner") == known
    assert [one for one, _ in labelled(cases[::-1], "reasoner")] == [one for one, _ in known][::-1]


def test_where_pipelines_explored_differently_all_are_thinned_to_the_least_share() -> None:
    seldom = explored()
    often = [
        replace(case(n + 10_000, pipeline="q", propensity=0.4), agrees=True) for n in range(2000)
    ]  # those that were explored
    kept = [one for one, _ in labelled([*seldom, *often], "reasoner") if one.pipeline == "q"]
    assert 440 <= len(kept) <= 560  # a quarter of 2,000


def test_escalated_answers_of_a_pipeline_that_did_not_explore_are_left_out() -> None:
    cases = [case(0, propensity=1.0, agrees=True), case(1, accepted=False, agrees=False, pipeline="old")]
    assert labelled(cases, "reasoner") == [(cases[0], True)]


# ---- Cases set aside ----


def test_cases_are_set_aside_by_their_event_the_same_way_each_time() -> None:
    cases = [case(n) for n in range(2000)]
    first, second = set_aside(cases, "salt", 0.3)
    assert sorted([*first, *second], key=lambda one: int(one.event_id[1:])) == cases
    assert not {one.event_id for one in first} & {one.event_id for one in second}
    assert 530 <= len(first) <= 670
    assert set_aside(cases[::-1], "salt", 0.3)[0] == first[::-1]
    assert set_aside(cases, "pepper", 0.3)[0] != first


def test_two_attempts_at_one_event_are_never_parted() -> None:
    for number in range(50):
        one, two = case(number), case(number, handler="name")
        assert [len(part) for part in set_aside([one, two], "salt", 0.5)] in ([2, 0], [0, 2])


def test_none_or_all_can_be_set_aside() -> None:
    cases = [case(n) for n in range(20)]
    assert set_aside(cases, "salt", 0.0) == ([], cases)
    assert set_aside(cases, "salt", 1.0) == (cases, [])
