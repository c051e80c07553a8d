"""The population of a panel, read from a real audit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from statistics import fmean, stdev
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig
from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.core.messages import PanelAnswer
from streams.panels import population_reader
from streams.panels.population import IntentHistory, Population, PopulationScope, PopulationTask
from streams.panels.population_reader import read_population
from streams.panels.selection import DrawSettings, select_cases
from streams.pipeline.load import Pipeline
from tests.builders import START, call, event, outcome, thought, verdict
from tests.harness.audit import write
from tests.harness.panel_stream import EIGHT, EIGHT_TEXT, SEVEN, accepted, escalated, explored

pytestmark = pytest.mark.embedded


def read(config: ClickHouseConfig, pipeline: Pipeline, run: str, **more: Any) -> Population:
    audit = Audit(config)
    try:
        return read_population(audit, pipeline, PopulationScope(run=run, **more))
    finally:
        audit.close()


def by_event(population: Population) -> dict[str, PopulationTask]:
    return {one.event_id: one for one in population.tasks}


def test_a_task_is_what_its_handlers_answered_and_cost(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("a", "order 1", run="one", hour=2.0)
    rows = accepted(of, 0.9, 0.8)
    write(config, *rows)
    (found,) = read(config, pipeline, "one").tasks
    assert (found.event_id, found.event_time, found.intent) == ("a", START + timedelta(hours=2), "order")
    assert (found.tier, found.handler, found.confidence) == ("worker", "answer", 0.9)
    assert found.distance == pytest.approx(0.1)
    assert found.usd == 0.001
    assert (found.tiers_disagree, found.refused_needlessly, found.runs_disagree) == (False, False, False)
    answer = PanelAnswer(
        option="outcome", run="one", tier="worker", handler="answer", call_id=rows[1].call_id, delivered=True
    )
    assert found.answers == (answer,)


def test_events_with_one_task_count_once_by_the_oldest(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    texts = ["same", "same ", "other", "same"]
    events = [event(f"e{number}", text, run="same", hour=5.0 - number) for number, text in enumerate(texts)]
    write(config, *(row for of in events for row in accepted(of)))
    assert [one.event_id for one in read(config, pipeline, "same").tasks] == ["e3", "e2"]


def test_fields_that_no_handler_reads_do_not_make_another_task(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    for number, handler in enumerate(("name", "name", "answer", "answer")):
        of = event(f"e{number}", f"to {handler}", run="fields", hour=float(number), data=f'{{"id": {number}}}')
        made = call(of, handler, response='"Ann"')
        write(config, verdict(of, handler), made, replace(outcome(of), handler=handler, answer='"Ann"'))
    assert set(by_event(read(config, pipeline, "fields"))) == {"e0", "e2", "e3"}


def test_redacted_texts_that_look_alike_stay_different_tasks(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    for name in ("e1", "e2"):
        of = event(name, "call [phone]", run="redacted")
        seen, *rest = accepted(of)
        write(config, replace(seen, fingerprint=name), *rest)
    assert len(read(config, pipeline, "redacted").tasks) == 2


def test_only_answered_events_of_the_range_and_the_run_are_drawn_from(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    for number in range(5):
        of = event(f"e{number}", f"order {number}", run="range", hour=float(number))
        state: dict[str, Any] = {"state": "ignored", "answer": None} if number == 2 else {}
        write(config, *accepted(of, **state), *accepted(event(f"x{number}", f"order {number}", run="other")))
    since, until = START + timedelta(hours=1), START + timedelta(hours=4)
    assert set(by_event(read(config, pipeline, "range", since=since, until=until))) == {"e1", "e3"}


def test_disagreements_and_needless_refusals_are_found(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    events = {name: event(name, f"order {name}", run="reasons") for name in ("agree", "differ", "unsure", "refused")}
    write(
        config,
        *explored(events["agree"], SEVEN | {"note": "other words"}),
        *explored(events["differ"], EIGHT),
        *escalated(events["unsure"]),
        *escalated(events["refused"], refused=True),
    )
    found = by_event(read(config, pipeline, "reasons"))
    assert {name for name, one in found.items() if one.tiers_disagree} == {"differ", "unsure"}
    assert {name for name, one in found.items() if one.refused_needlessly} == {"refused"}
    assert found["unsure"].distance == pytest.approx(0.3)
    assert (found["unsure"].confidence, found["differ"].confidence) == (None, 0.9)


def test_both_tiers_answers_are_shown_where_both_exist(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    events = {name: event(name, f"order {name}", run="pairs") for name in ("differ", "unsure", "refused", "alone")}
    write(
        config,
        *explored(events["differ"], EIGHT),
        *escalated(events["unsure"]),
        *escalated(events["refused"], refused=True),
        *accepted(events["alone"]),
    )
    found = by_event(read(config, pipeline, "pairs", options=("worker", "reasoner")))
    shown = {name: [(one.option, one.delivered) for one in task.answers] for name, task in found.items()}
    assert shown == {
        "differ": [("worker", True), ("reasoner", False)],
        "unsure": [("worker", False), ("reasoner", True)],
        "refused": [("reasoner", True)],
        "alone": [("worker", True)],
    }


def test_two_runs_are_compared_where_both_answered(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    ends: dict[str, dict[str, Any]] = {"same": {}, "differ": {"answer": EIGHT_TEXT}, "failed": {"state": "failed"}}
    for name, second in ends.items():
        write(config, *accepted(event(name, f"order {name}", run="first")))
        write(config, *accepted(event(name, f"order {name}", run="second"), **second))
    write(config, *accepted(event("alone", "order alone", run="first")))
    found = by_event(read(config, pipeline, "first", options=("first", "second")))
    shown = {name: [(one.option, one.run, one.delivered) for one in task.answers] for name, task in found.items()}
    both = [("first", "first", True), ("second", "second", False)]
    assert shown == {"same": both, "differ": both, "failed": both[:1], "alone": both[:1]}
    assert {name for name, one in found.items() if one.runs_disagree} == {"differ"}


def test_events_that_no_person_can_judge_are_counted_and_left_out(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    events = {name: event(name, f"order {name}", run="excluded") for name in ("fine", "erased", "expired", "unread")}
    events["empty"] = event("empty", "", run="excluded")
    rows = {name: list(accepted(of)) for name, of in events.items()}
    rows["expired"][1:] = [
        replace(rows["expired"][1], response=None), replace(rows["expired"][2], answer=None),
    ]  # fmt: skip
    rows["unread"][2] = replace(rows["unread"][2], answer=None)  # its call still has it
    write(config, *(row for some in rows.values() for row in some))
    client = config.connect()
    client.insert("erased_events_rows", [["erased", "x", START]], column_names=["event_id", "erasure_id", "erased_at"])
    client.close()
    found = read(config, pipeline, "excluded")
    assert set(by_event(found)) == {"fine", "unread"}
    assert found.excluded == {"erased": 1, "without content": 1, "without a readable answer": 1}


def test_a_run_without_answers_is_refused_in_words(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="no event of the run 'none' ended with an answer"):
        read(config, pipeline, "none")
    of = event("gone", run="gone")
    write(config, *accepted(of, answer=None)[::2])
    with pytest.raises(ConfigError, match="can be judged: 1 without a readable answer"):
        read(config, pipeline, "gone")


def test_parts_of_the_range_give_the_same_population_as_the_whole(
    config: ClickHouseConfig, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        of = event(f"e{number}", f"order {number % 7}", run="parts", hour=float(number // 2))
        write(config, *(accepted(of) if number % 2 else escalated(of)))
    whole = read(config, pipeline, "parts")
    monkeypatch.setattr(population_reader, "SLICE", 2)
    assert read(config, pipeline, "parts") == whole
    assert len(whole.tasks) == 7


def test_a_part_that_is_too_large_to_read_is_refused(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    write(config, *(row for n in range(4) for row in accepted(event(f"e{n}", f"order {n}", run="large"))))
    audit = Audit(config, max_rows=3)
    with pytest.raises(ConfigError, match="more than 3 events have nearly one time"):
        read_population(audit, pipeline, PopulationScope(run="large"))
    audit.close()


def test_an_intent_is_known_from_its_first_event_in_the_run(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    for number, intent in enumerate(("order", "order", "sum")):
        write(config, *accepted(event(f"e{number}", f"{number}", run="intents", hour=float(number)), intent=intent))
    found = read(config, pipeline, "intents", since=START + timedelta(hours=1))
    assert found.intents == {
        "order": IntentHistory(first=START, events=2),
        "sum": IntentHistory(first=START + timedelta(hours=2), events=1),
    }
    assert len(found.tasks) == 2


def test_the_reasoners_answer_counts_that_was_given_last(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("twice", run="twice")
    early, late = (thought(of, EIGHT, attempt=number) for number in (1, 2))
    early = replace(early, decision="retried", status="failed", response=None)
    late = replace(late, started_at=early.started_at + timedelta(seconds=9))
    write(config, *escalated(of)[:2], early, late, replace(escalated(of)[3], call_id=late.call_id))
    (found,) = read(config, pipeline, "twice", options=("worker", "reasoner")).tasks
    assert [one.call_id for one in found.answers][1] == late.call_id


@pytest.mark.slow
def test_rates_of_drawn_cases_are_unbiased_for_the_whole_stream(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    """Answers near the threshold are wrong more often and are drawn more often; the known chances correct that."""
    events = [event(f"e{n}", f"order {n}", run="unbiased", hour=n / 60) for n in range(400)]
    rows = [accepted(of, 0.81) if n < 40 else explored(of, EIGHT) if n % 9 == 0 else accepted(of, 0.97)
            for n, of in enumerate(events)]  # fmt: skip
    write(config, *(row for some in rows for row in some))
    population = read(config, pipeline, "unbiased")
    wrong = {f"e{n}" for n in range(400) if n % 2 == 0 and (n < 40 or n % 40 == 0)}
    truth = len(wrong) / 400
    reweighted, plain = [], []
    for seed in range(300):
        drawn = select_cases(population, DrawSettings(panel="p", count=40, seed=seed, created_at=START))
        values = {case.case_id: float(case.event_id in wrong) for case in drawn.sample}
        predicted = sum(one.prediction for one in drawn.strata)
        corrections = ((values[case.case_id] - case.prediction) / case.probability for case in drawn.sample)
        reweighted.append((predicted + sum(corrections)) / 400)
        plain.append(fmean(values.values()))
    assert abs(fmean(reweighted) - truth) < 3 * stdev(reweighted) / 300**0.5
    assert abs(fmean(plain) - truth) > 10 * stdev(plain) / 300**0.5
