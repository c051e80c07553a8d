"""Past events decided again: the change that is parsed, who would answer, and estimates held against a known truth."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.what_if_stream import Logging, World, recorded, world
from streams.adapters.clickhouse import ClickHouseConfig
from streams.app.providers import comparison
from streams.audit.query import Audit
from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.calibrators import Platt
from streams.calibration.drift import reference_of
from streams.core.errors import ConfigError
from streams.core.routing import Route
from streams.evaluation.cases import AuditPart, LabelsFrom
from streams.evaluation.what_if.change import parse_change
from streams.evaluation.what_if.figures import Figure
from streams.evaluation.what_if.history import History, PastEvent, read_history
from streams.evaluation.what_if.observed_outcomes import shares_seen
from streams.evaluation.what_if.policy import Plan, as_it_was, with_change
from streams.evaluation.what_if.report import sentence, warnings
from streams.evaluation.what_if.what_if import WhatIf, what_if
from streams.pipeline.load import Pipeline
from tests.builders import REASONER_USD, attempt, call, event, label, reply, thought, verdict
from tests.harness.audit import write
from tests.harness.shop import PIPELINE, shop

TWO_REASONERS = (
    PIPELINE.replace("threshold = 0.8", 'threshold = 0.8\nreasoner = "think"')
    .replace("[workers.name]", '[workers.name]\nreasoner = "think"')
    .replace("[workers.add]", '[workers.add]\nreasoner = "think"')
    + '\n[reasoners.muse]\nmodel = "m"\nprompt = "prompt.j2"\nschema = "order.json"\n'
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("shop"), TWO_REASONERS)


def past(score: float | None = 0.9, number: int = 0, **more: Any) -> PastEvent:
    """An accepted answer of the worker `answer`."""
    usual: dict[str, Any] = {
        "event_id": f"e{number}",
        "intent": "order",
        "action": "work",
        "handler": "answer",
        "pipeline": "p",
        "attempt": attempt(raw_confidence=score),
        "decision": "accepted",
        "worker_usd": 0.001,
    }
    return PastEvent(**usual | more)


def escalated(score: float | None = 0.5, number: int = 0, **more: Any) -> PastEvent:
    """One that the reasoner answered."""
    usual: dict[str, Any] = {"decision": "escalated", "reasoner": "think", "reasoner_usd": 0.02}
    return past(score, number, **usual | more)


# ---- What can be set ----


def test_thresholds_routes_reasoners_and_exploration_of_several_workers_can_be_set(pipeline: Pipeline) -> None:
    change = parse_change(
        [
            "workers.answer.threshold=0.7",
            "workers.name.explore = 0.1",
            "workers.add.reasoner=muse",
            "routes.sum=ignore",
        ],
        pipeline,
    )
    assert change.workers == ("add", "answer", "name")
    assert change.thresholds["answer"].threshold.threshold == 0.7
    assert (change.explore, change.reasoners, change.routes) == (
        {"name": 0.1}, {"add": "muse"}, {"sum": Route("ignore")},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "key", "words"),
    [
        ("workers.answer.threshold", "set", "KEY=VALUE"),
        ("workers.answer.threshold=high", "workers.answer.threshold", "not a number from 0 to 1"),
        ("workers.answer.threshold=nan", "workers.answer.threshold", "not a number from 0 to 1"),
        ("workers.answer.threshold=1.2", "workers.answer.threshold", "not a number from 0 to 1"),
        ("workers.answr.threshold=0.5", "workers.answr.threshold", "Use one of: answer, name, add"),
        ("workers.answer.treshold=0.5", "workers.answer.treshold", "a worker has no such key"),
        ("workers.answer.prompt=p.j2", "workers.answer.prompt", "escalon replay"),
        ("workers.answer.model=m", "workers.answer.model", "escalon replay"),
        ("models.m.model=other", "models.m.model", "escalon replay"),
        ("reasoners.think.max_tokens=5", "reasoners.think.max_tokens", "escalon replay"),
        ("explore=0.1", "explore", "no such key"),
        ("routes=x", "routes", "escalon replay"),
        ("routes.order=workers.nobody", "routes.order", "is not a target"),
        ("routes.duplicate=ignore", "routes.duplicate", "escalon replay"),
        ("workers.answer.reasoner=nobody", "workers.answer.reasoner", "Use one of: think, muse"),
        ("workers.answer.calibration=none.json", "workers.answer.calibration", "there is no file"),
        ("workers.answer.calibration=order.json", "workers.answer.calibration", "is not a calibration"),
    ],
)
def test_a_setting_that_cannot_be_changed_is_refused_with_its_key(
    pipeline: Pipeline, setting: str, key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_change([setting], pipeline)
    assert caught.value.key == key
    assert words in str(caught.value)


def test_setting_nothing_or_one_thing_twice_is_an_error(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="nothing is set"):
        parse_change([], pipeline)
    with pytest.raises(ConfigError, match="set twice"):
        parse_change(["workers.answer.threshold=0.1", "workers.answer.threshold=0.2"], pipeline)


def artifact(pipeline: Pipeline, **more: Any) -> CalibrationArtifact:
    config = pipeline.workers["answer"].confidence
    assert config is not None
    usual: dict[str, Any] = {
        "handler": "answer", "handler_version": "v", "scoring": config.scoring, "created": "2026-11-01",
        "calibrator": Platt(2.0, 0.0), "calibration_set": "0" * 64, "n": 100, "log_loss": 0.1, "brier": 0.1, "ece": 0.1,
        "method": "m", "max_error": 0.1, "certainty": 0.9, "threshold": 0.64, "raw_threshold": 0.6, "bound": 0.1,
        "coverage": 0.5, "accepted": 50, "errors": 1, "reference": reference_of([number / 50 for number in range(50)]),
        "labels_source": "people",
    }  # fmt: skip
    return CalibrationArtifact(**usual | more)


def test_a_calibration_decides_by_its_raw_threshold(tmp_path: Path) -> None:
    pipeline = shop(tmp_path)
    (tmp_path / "new.json").write_text(artifact(pipeline).to_json(), "utf-8")
    change = parse_change(["workers.answer.calibration=new.json"], pipeline)
    ends = [with_change(past(score), change, pipeline, {}).end for score in (0.59, 0.6, None)]
    assert ends == ["reasoner", "worker", "reasoner"]
    with pytest.raises(ConfigError, match="a calibration sets the threshold"):
        parse_change(["workers.answer.calibration=new.json", "workers.answer.threshold=0.5"], pipeline)


def test_a_calibration_of_another_version_is_refused(tmp_path: Path) -> None:
    pipeline = shop(tmp_path)
    (tmp_path / "old.json").write_text(artifact(pipeline, scoring="another").to_json(), "utf-8")
    with pytest.raises(ConfigError, match="another version of answer"):
        parse_change(["workers.answer.calibration=old.json"], pipeline)


# ---- Who would answer ----


@pytest.mark.parametrize(
    ("settings", "event_", "plan"),
    [
        (["workers.answer.threshold=0.95"], past(0.9), Plan("reasoner", "answer", "think", 1.0)),
        (["workers.answer.threshold=0.9"], past(0.9, pipeline="q"), Plan("worker", "answer", "think", 0.0)),
        (["workers.answer.threshold=0.9"], past(0.9, propensity=0.1), Plan("worker", "answer", "think", 0.1)),
        (["workers.answer.threshold=0.4"], escalated(0.5), Plan("worker", "answer", "think", 0.1)),
        (["workers.answer.threshold=0.4"], escalated(None), Plan("reasoner", "answer", "think", 1.0)),
        (["workers.answer.threshold=none"], escalated(None), Plan("worker", "answer", "think", 0.1)),
        (
            ["workers.answer.threshold=0"],
            escalated(attempt=attempt("refused", refusal_class="policy")),
            Plan("reasoner", "answer", "think", 1.0),
        ),
        (["workers.answer.explore=0.3"], past(0.2), Plan("worker", "answer", "think", 0.3)),
        (["workers.answer.reasoner=muse"], escalated(0.5), Plan("reasoner", "answer", "muse", 1.0)),
        (["routes.order=reasoners.think"], past(0.9), Plan("reasoner", "", "think", 1.0)),
        (["routes.order=ignore"], past(0.9), Plan("unanswered")),
        (["routes.order=workers.name"], past(0.9), Plan("worker", "name", "think", 0.0)),
        (["routes.sum=ignore"], past(0.9), Plan("worker", "answer", "think", 0.1)),
        (["routes.unsure=ignore"], past(0.9, intent="unheard of"), Plan("unanswered")),
    ],
)
def test_an_event_is_decided_again(pipeline: Pipeline, settings: list[str], event_: PastEvent, plan: Plan) -> None:
    assert with_change(event_, parse_change(settings, pipeline), pipeline, {("answer", "p"): 0.1}) == plan


def test_what_happened_is_read_from_the_decision_then(pipeline: Pipeline) -> None:
    assert as_it_was(past(), pipeline).end == "worker"
    assert as_it_was(escalated(), pipeline) == Plan("reasoner", "answer", "think", 1.0)
    assert as_it_was(past(decision="failed"), pipeline).end == "unanswered"
    assert as_it_was(past(action="ignore", handler="", attempt=None, decision=None), pipeline) == Plan("unanswered")
    direct = past(action="reason", handler="muse", attempt=None, decision=None, reasoner="muse")
    assert as_it_was(direct, pipeline) == Plan("reasoner", "", "muse", 1.0)


# ---- Figures by hand ----


def figures(pipeline: Pipeline, events: list[PastEvent], *settings: str, labels: LabelsFrom = "people") -> WhatIf:
    return what_if(History(events=events), parse_change(settings, pipeline), pipeline, labels)


def values(figure: Figure | None) -> list[float | None]:
    """Return the value as it was, with the change, and the difference."""
    assert figure is not None
    return [figure.was.value, figure.then.value, figure.difference.value]


def test_a_lower_threshold_over_labelled_events_is_a_matter_of_counting(pipeline: Pipeline) -> None:
    events = [
        past(0.9, 0, worker_right=True),
        past(0.9, 1, worker_right=False),
        escalated(0.5, 2, worker_right=False, reasoner_right=True),
        escalated(0.5, 3, worker_right=True, reasoner_right=True),
    ]
    found = figures(pipeline, events, "workers.answer.threshold=0.5")
    assert values(found.accuracy) == pytest.approx([0.75, 0.5, -0.25])
    assert values(found.cost) == pytest.approx([0.011, 0.001, -0.01])
    assert values(found.reasoner_share) == [0.5, 0.0, -0.5]
    assert values(found.worker_share) == [0.5, 1.0, 0.5]
    assert found.counts.flips == (("reasoner", "worker", 2),)
    assert (found.counts.unknown_reasoner, found.counts.open) == (0, 0)


def test_without_exploration_a_higher_threshold_has_bounds_and_says_so(pipeline: Pipeline) -> None:
    events = [
        *(past(0.9, n, worker_right=n % 2 == 0) for n in range(40)),
        *(escalated(0.5, 40 + n, worker_right=False, reasoner_right=True) for n in range(40)),
    ]
    found = figures(pipeline, events, "workers.answer.threshold=0.95")
    assert found.accuracy is not None
    assert found.accuracy.was.value == pytest.approx(0.75)
    assert found.accuracy.then.value is None
    assert found.accuracy.then.low < 0.5
    assert found.accuracy.then.high == 1.0
    assert (found.counts.open, found.counts.unknown_reasoner) == (40, 40)
    assert any("only bounds" in line and "explore = 0.01" in line for line in warnings(found))
    assert "by -35" not in sentence(found)
    assert "the value in between is unknown" in sentence(found)


def test_by_the_reasoners_word_a_lower_threshold_is_known_even_without_exploration(pipeline: Pipeline) -> None:
    events = [
        *(past(0.9, n) for n in range(10)),
        *(escalated(0.5, 10 + n, worker_right=n < 4, reasoner_right=True) for n in range(10)),
    ]
    found = figures(pipeline, events, "workers.answer.threshold=0.5", labels="reasoner")
    assert found.accuracy is not None
    assert found.accuracy.was.value is None
    assert found.accuracy.difference.value == pytest.approx(-6 / 20)


def test_an_event_sent_to_a_worker_that_never_saw_it_leaves_all_open(pipeline: Pipeline) -> None:
    events = [past(0.9, n, worker_right=True) for n in range(10)]
    found = figures(pipeline, events, "routes.order=workers.name")
    assert found.cost is None
    assert found.accuracy is not None
    assert found.accuracy.then.value is None
    assert (found.counts.never_asked, found.counts.open) == (10, 0)
    assert any("never saw them" in line for line in warnings(found))


def test_ignoring_events_costs_nothing_and_is_right_about_none(pipeline: Pipeline) -> None:
    found = figures(pipeline, [past(0.9, n, worker_right=True) for n in range(10)], "routes.order=ignore")
    assert values(found.accuracy) == pytest.approx([1.0, 0.0, -1.0])
    assert values(found.cost) == pytest.approx([0.001, 0.0, -0.001])


def test_a_change_that_decides_nothing_otherwise_says_so(pipeline: Pipeline) -> None:
    found = figures(pipeline, [past(0.9, n, worker_right=n != 3) for n in range(10)], "workers.answer.threshold=0.85")
    assert sentence(found) == "The change alters no decision about these 10 events."
    assert found.accuracy is not None
    assert values(found.accuracy)[2] == 0.0


def test_without_any_label_the_accuracy_is_unknown_and_the_cost_is_not(pipeline: Pipeline) -> None:
    found = figures(pipeline, [*(past(0.9, n) for n in range(5)), *(escalated(0.5, 5 + n) for n in range(5))],
                    "workers.answer.threshold=0.5")  # fmt: skip
    assert found.accuracy is None
    assert found.cost is not None
    assert "91% less; it is unknown how many" in sentence(found)


def test_events_of_a_pipeline_that_did_not_explore_are_left_out_where_another_did(pipeline: Pipeline) -> None:
    explored = [past(0.9, n, propensity=0.5, explored=n < 5, reasoner="think" if n < 5 else "",
                     worker_right=True if n < 5 else None, reasoner_usd=0.02 if n < 5 else None)
                for n in range(10)]  # fmt: skip
    before = [past(0.9, 100 + n, pipeline="old") for n in range(7)]
    found = figures(pipeline, [*explored, *before], "workers.answer.threshold=0.95", labels="reasoner")
    assert (found.counts.events, found.counts.unexplored) == (10, 7)
    assert any("7 events are left out" in line for line in warnings(found))
    assert any("only about 5 seen answers" in line for line in warnings(found))


def test_too_few_events_are_an_error_that_says_where_the_others_are(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="12 more were answered by another version"):
        what_if(
            History(events=[past()], other_versions=12),
            parse_change(["workers.answer.threshold=0.5"], pipeline),
            pipeline,
            "people",
        )


def test_labels_that_are_rarer_among_some_decisions_are_weighed_by_their_share() -> None:
    known = np.array([True, False, True, True])
    groups = np.array(["accepted", "accepted", "escalated", "failed"], dtype=object)
    among = np.array([True, True, True, False])
    shares = shares_seen(known & among, among, np.full(4, 0.5), groups)
    assert shares.tolist() == [0.5, 0.5, 1.0, 0.0]


# ---- A stream of which everything is known ----

SEEDS = 100


def held(pipeline: Pipeline, everything: World, how: Logging, threshold: float, count: int) -> dict[str, int]:
    """In how many of SEEDS streams the intervals of the accuracy and the cost hold the truth."""
    change = parse_change([f"workers.answer.threshold={threshold}", f"workers.answer.explore={how.explore}"], pipeline)
    truth = everything.truth(threshold, how.explore, how.labels)
    before = everything.truth(how.threshold, how.explore, how.labels)
    found = dict.fromkeys(("accuracy", "cost", "accuracy difference", "cost difference"), 0)
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        events = recorded(everything.drawn(count, rng), how, rng)
        made = what_if(History(events=events), change, pipeline, how.labels)
        for name, figure in (("accuracy", made.accuracy), ("cost", made.cost)):
            assert figure is not None
            found[name] += figure.then.low <= truth[name] <= figure.then.high
            gap = truth[name] - before[name]
            found[f"{name} difference"] += figure.difference.low <= gap <= figure.difference.high
    return found


@pytest.mark.parametrize(
    ("odd", "how", "threshold"),
    [
        (False, Logging(explore=0.1), 0.85),
        (False, Logging(explore=0.1), 0.6),
        (True, Logging(explore=0.1), 0.85),
        (True, Logging(explore=0.3, labels="people", labelled=0.5), 0.85),
    ],
    ids=["up", "down", "a wrong model", "a wrong model and half of them labelled"],
)
@pytest.mark.slow
def test_the_intervals_hold_the_truth_in_at_least_90_of_100_streams(
    pipeline: Pipeline, odd: bool, how: Logging, threshold: float
) -> None:
    found = held(pipeline, world(50_000, seed=3, odd=odd), how, threshold, 400)
    assert min(found.values()) >= 90, found


# ---- From the audit ----


def read(
    config: ClickHouseConfig, pipeline: Pipeline, of: str | AuditPart, *settings: str, labels: LabelsFrom = "people"
) -> History:
    agrees = {name: comparison(one.correct) for name, one in {**pipeline.reasoners, **pipeline.workers}.items()}
    audit = Audit(config)
    try:
        part = AuditPart(run=of) if isinstance(of, str) else of
        return read_history(audit, pipeline, agrees, parse_change(settings, pipeline), part, labels)
    finally:
        audit.close()


def worked(of: Any, pipeline: Pipeline, score: float = 0.9, number: str = "7", **more: Any) -> Any:
    usual: dict[str, Any] = {
        "handler_version": pipeline.workers["answer"].version,
        "response": reply({"number": number}, score),
        "raw_confidence": score,
        "confidence": score,
    }
    return call(of, **usual | more)


def test_an_event_is_read_with_its_decision_its_answers_and_all_its_calls_cost(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    explored, passed_on = event("a", run="read"), event("b", run="read", hour=1)
    write(
        config,
        verdict(explored),
        worked(explored, pipeline, attempt=1, decision="retried", status="failed", cost_usd=Decimal("0.002")),
        worked(explored, pipeline, attempt=2, propensity=0.1, explored=True),
        thought(explored, {"number": "8"}, decision="explored"),
        label(explored, "8"),
        verdict(passed_on),
        worked(passed_on, pipeline, 0.5, decision="escalated"),
        thought(passed_on, {"number": "7"}),
    )
    one, other = read(config, pipeline, "read", "workers.answer.threshold=0.5").events
    assert (one.decision, one.propensity, one.explored, one.reasoner) == ("accepted", 0.1, True, "think")
    assert (one.worker_right, one.reasoner_right) == (False, True)
    assert (one.worker_usd, one.reasoner_usd) == (0.003, float(REASONER_USD))
    assert one.attempt is not None
    assert one.attempt.raw_confidence == 0.9
    assert (other.decision, other.propensity, other.worker_right, other.reasoner_right) == (
        "escalated",
        None,
        None,
        None,
    )
    one, other = read(config, pipeline, "read", "workers.answer.threshold=0.5", labels="reasoner").events
    assert (one.worker_right, other.worker_right) == (False, True)


def test_what_a_replay_reused_counts_at_what_it_cost_and_live_labels_hold_there(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    of, live = event("r", run="again"), event("r")
    free: dict[str, Any] = {"cost_usd": Decimal(0), "cache_hit": True, "reused_from": "live"}
    write(
        config,
        verdict(of),
        worked(of, pipeline, decision="escalated", saved_usd=Decimal("0.004"), **free),
        thought(of, {"number": "7"}, saved_usd=Decimal("0.05"), **free),
        label(live, "7"),
    )
    (found,) = read(config, pipeline, "again", "workers.answer.threshold=0.5").events
    assert (found.worker_usd, found.reasoner_usd, found.worker_right) == (0.004, 0.05, True)


def test_an_unknown_cost_stays_unknown(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("a", run="unpriced")
    write(config, verdict(of), worked(of, pipeline, cost_usd=None))
    (found,) = read(config, pipeline, "unpriced", "workers.answer.threshold=0.5").events
    assert (found.worker_usd, found.reasoner_usd) == (None, None)


def test_one_unknown_cost_makes_the_events_unknown_by_tier(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    of = event("a", run="timed out")
    write(
        config,
        verdict(of),
        worked(of, pipeline, attempt=1, decision="retried", status="failed", cost_usd=None),
        worked(of, pipeline, attempt=2, decision="escalated"),
        thought(of, {"number": "7"}),
    )
    (found,) = read(config, pipeline, "timed out", "workers.answer.threshold=0.5").events
    assert (found.worker_usd, found.reasoner_usd) == (None, float(REASONER_USD))


def test_labels_of_live_traffic_count_under_any_name_of_its_run_and_the_last_source_breaks_a_tie(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    of, base = event("a", run="candidate"), event("a", run="production")
    write(config, verdict(of), worked(of, pipeline), label(base, "7", source="desk"), label(of, "8", source="audit"))
    part = AuditPart(run="candidate", base="production")
    (found,) = read(config, pipeline, part, "workers.answer.threshold=0.5").events
    assert found.worker_right is True
    (found,) = read(config, pipeline, "candidate", "workers.answer.threshold=0.5").events
    assert found.worker_right is False


def test_an_event_published_again_at_another_time_counts_once(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    first, again = event("a", run="twice"), event("a", run="twice", hour=1)
    write(config, verdict(first), verdict(again), worked(first, pipeline))
    assert len(read(config, pipeline, "twice", "workers.answer.threshold=0.5").events) == 1


def test_other_versions_and_the_unfinished_are_counted_and_other_workers_are_not_read(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    old, waiting, other = (event(name, run="others") for name in "abc")
    write(config, verdict(old), worked(old, pipeline, handler_version="old"), verdict(waiting), verdict(other, "name"))
    found = read(config, pipeline, "others", "workers.answer.threshold=0.5")
    assert (list(found.events), found.other_versions, found.unfinished) == ([], 1, 1)


def test_a_route_concerns_the_events_of_its_intent_also_those_it_ignored(
    config: ClickHouseConfig, pipeline: Pipeline
) -> None:
    order, nothing, strange = (event(name, run="routes", hour=hour) for hour, name in enumerate("abc"))
    write(
        config,
        verdict(order),
        worked(order, pipeline),
        verdict(nothing, "", action="ignore", intents=("unsure",)),
        verdict(strange, "", action="ignore", intents=("strange",)),
    )
    names = [
        [one.event_id for one in read(config, pipeline, "routes", setting).events]
        for setting in ("routes.order=ignore", "routes.unsure=workers.answer", "routes.strange=workers.answer")
    ]
    assert names == [["a"], ["b", "c"], ["c"]]


def test_from_rows_to_figures(config: ClickHouseConfig, pipeline: Pipeline) -> None:
    messages: list[Any] = []
    for number in range(40):
        of = event(f"e{number:02}", run="whole", hour=number)
        sure, asked = number < 30, number % 2 == 0
        messages.append(verdict(of))
        if sure:
            messages.append(worked(of, pipeline, 0.9, "7", propensity=0.5, explored=asked))
        else:
            messages.append(worked(of, pipeline, 0.5, "8", decision="escalated"))
        if not sure or asked:
            messages.append(thought(of, {"number": "7"}, decision="explored" if sure else "accepted"))
        messages.append(label(of, "7"))
    write(config, *messages)
    history = read(config, pipeline, "whole", "workers.answer.threshold=0.95")
    found = what_if(history, parse_change(["workers.answer.threshold=0.95"], pipeline), pipeline, "people")
    assert values(found.accuracy) == pytest.approx([1.0, 1.0, 0.0], abs=0.01)
    # Before, half of the 30 accepted ones were explored.
    assert values(found.cost)[0] == pytest.approx(0.001 + 25 / 40 * 0.02, abs=1e-4)
    assert values(found.cost)[1] == pytest.approx(0.021, abs=1e-4)
    assert found.counts.flips == (("worker", "reasoner", 30),)
    assert (found.counts.unknown_reasoner, found.counts.open, found.counts.explored) == (15, 0, 15)
    assert replace(found.counts, flips=()).labelled == 40


def test_what_came_from_the_store_would_have_come_from_the_reasoners_store(pipeline: Pipeline) -> None:
    """Sending every event on costs a reasoner's call for each task that was asked, and none for one that came again."""
    asked = [escalated(0.5, n) for n in range(100)]
    again = [past(0.9, n, worker_usd=0.0, stored=True, reasoner="", task="t") for n in range(100, 1100)]
    change = parse_change(["workers.answer.threshold=0.95"], pipeline)
    found = what_if(History(events=[*asked, *again]), change, pipeline, "people")
    assert found.cost is not None
    assert found.cost.then.value == pytest.approx(found.cost.was.value)
    assert found.cost.was.value == pytest.approx(100 * 0.021 / 1100)


def test_intervals_count_tasks(pipeline: Pipeline) -> None:
    change = parse_change(["workers.answer.threshold=0.7"], pipeline)
    scores = np.random.default_rng(0).uniform(0.5, 1.0, 60).tolist()
    once = [past(score, n, task=f"t{n}") if score > 0.8 else escalated(score, n, task=f"t{n}")
            for n, score in enumerate(scores)]  # fmt: skip
    many = [replace(one, event_id=f"{one.event_id}-{k}") for one in once for k in range(20)]
    few, lots = (what_if(History(events=some), change, pipeline, "people") for some in (once, many))
    assert (few.counts.tasks, lots.counts.tasks, lots.counts.events) == (60, 60, 1200)
    assert lots.worker_share.difference.low == pytest.approx(few.worker_share.difference.low, abs=1e-3)
    assert any("1200 events are 60 different tasks" in one for one in warnings(lots))
