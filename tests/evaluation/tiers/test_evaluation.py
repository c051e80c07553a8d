"""Every figure of the three tiers, on an audit that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from streams.adapters.clickhouse import ClickHouseConfig, migrate
from streams.app.providers import comparison
from streams.audit.query import Audit
from streams.core.errors import ConfigError
from streams.core.time_range import EARLIEST, LATEST
from streams.evaluation.tiers.attempts import Agrees
from streams.evaluation.tiers.evaluation import ReasonerTier, TierEvaluation, evaluate_tiers
from streams.evaluation.tiers.html_page import page
from streams.evaluation.tiers.listeners import NO_LABEL, IntentTruth, ListenerTier
from streams.evaluation.tiers.panel_figures import PanelFigures
from streams.evaluation.tiers.truth import AnswerValue, EvaluatedPart, TruthSource, source_named
from streams.evaluation.tiers.workers import WorkerQuality
from streams.pipeline.load import Pipeline
from tests.builders import START
from tests.harness.audit import write
from tests.harness.evaluated_audit import ANSWERED, CRM, HEARD, everything, of, pipeline, worked

pytestmark = pytest.mark.embedded
PANEL = source_named("panel:weekly")


@pytest.fixture(scope="module")
def config(config: ClickHouseConfig) -> ClickHouseConfig:
    write(config, *everything())
    return config


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return pipeline(tmp_path_factory.mktemp("shop"))


def evaluated(config: ClickHouseConfig, loaded: Pipeline, run: str, **more: Any) -> TierEvaluation:
    handlers = [*loaded.workers.values(), *loaded.reasoners.values()]
    agrees: Agrees = {(one.tier, one.name): comparison(one.correct) for one in handlers}
    ends = {"since": EARLIEST, "until": LATEST} | {name: more.pop(name) for name in ("since", "until") if name in more}
    audit = Audit(config)
    try:
        return evaluate_tiers(audit, loaded, agrees, EvaluatedPart(run=run, base="live", **ends), **more)
    finally:
        audit.close()


@pytest.fixture(scope="module")
def made(config: ClickHouseConfig, loaded: Pipeline) -> TierEvaluation:
    return evaluated(config, loaded, ANSWERED)


@pytest.fixture(scope="module")
def worker(made: TierEvaluation) -> WorkerQuality:
    assert made.workers is not None
    (one,) = made.workers
    return one


@pytest.fixture(scope="module")
def reasoner(made: TierEvaluation) -> ReasonerTier:
    assert made.reasoner is not None
    return made.reasoner


def hits(one: Any) -> tuple[int, int]:
    return one.hits, one.n


def by_source(shares: Any) -> dict[str, tuple[int, int]]:
    return {one.source.name: hits(one.share) for one in shares}


# ---- Workers ----


def test_attempts_are_counted_by_task_and_repeats_once(worker: WorkerQuality) -> None:
    one = worker.whole.answers
    assert (one.events, one.tasks) == (10, 9)  # w5 has the text of w1
    assert (hits(one.answered), hits(one.delivered)) == ((6, 9), (4, 9))
    assert (hits(one.refused), hits(one.invalid), hits(one.failed)) == ((2, 9), (1, 9), (0, 9))


def test_a_wrong_answer_lowers_the_accuracy_and_a_repeat_does_not_count_again(worker: WorkerQuality) -> None:
    # Right: w1, w3, w7. Wrong: w2, w6. The label of w5 is about the task of w1, which is older.
    assert by_source(worker.whole.answers.right) == {"people:ann": (3, 5), CRM: (0, 1)}
    assert by_source(worker.whole.answers.delivered_right) == {"people:ann": (2, 3), CRM: (0, 1)}


def test_shares_have_wilsons_interval(worker: WorkerQuality) -> None:
    (ann,) = [one.share for one in worker.whole.answers.right if one.source.kind == "people"]
    assert (ann.low, ann.high) == pytest.approx((0.2307, 0.8824), abs=1e-4)  # statsmodels, method="wilson"


def test_agreement_weights_accepted_and_escalated_answers_by_their_numbers(worker: WorkerQuality) -> None:
    found = worker.whole.agreement
    assert (hits(found.accepted), hits(found.escalated)) == ((1, 2), (0, 2))
    assert found.all.value == pytest.approx((4 * 1 / 2 + 2 * 0) / 6)  # w1 to w4 were accepted, w6 and w7 escalated
    assert (found.covered, found.answers) == (6, 6)


def test_a_refusal_that_the_reasoner_answers_is_needless_and_an_accepted_wrong_answer_missed(
    worker: WorkerQuality,
) -> None:
    found = worker.whole.refusals
    assert (found.refused, hits(found.needless)) == (2, (1, 2))
    assert by_source(found.answered_right) == {"people:ann": (1, 1)}
    assert by_source(found.missed) == {"people:ann": (1, 3), CRM: (1, 1)}


def test_a_calibration_needs_enough_labels(worker: WorkerQuality) -> None:
    assert [(one.n, one.measured) for one in worker.confidence] == [(5, None), (1, None)]


# ---- Reasoners ----


def test_a_reasoner_is_measured_on_all_events_that_reached_it(reasoner: ReasonerTier) -> None:
    (found,) = reasoner.reasoners
    whole, *intents = found.slices
    assert (whole.events, hits(whole.answered), hits(whole.refused)) == (8, (7, 8), (1, 8))
    assert hits(whole.delivered) == (5, 8)  # what it says about explored answers is not delivered
    assert by_source(whole.right) == {"people:ann": (4, 6)}
    assert by_source(whole.delivered_right) == {"people:ann": (2, 4)}
    assert {one.name: by_source(one.right) for one in intents} == {
        "order": {"people:ann": (4, 5)},
        "hard": {"people:ann": (0, 1)},
    }


def test_the_gain_over_the_worker_is_weighted_to_all_its_answers(reasoner: ReasonerTier) -> None:
    found = {one.group: one for one in reasoner.gains}
    pairs = {
        name: (one.pairs.both, one.pairs.only_a, one.pairs.only_b, one.pairs.neither) for name, one in found.items()
    }
    assert pairs == {"escalated": (0, 1, 1, 0), "accepted": (1, 0, 1, 0), "all": (1, 1, 2, 0)}
    assert [found[name].answers for name in ("escalated", "accepted", "all")] == [2, 4, 6]
    assert found["escalated"].difference.value == 0
    assert found["accepted"].difference.value == pytest.approx(1 / 2)
    assert found["all"].difference.value == pytest.approx((4 * 1 / 2 + 2 * 0) / 6)


def test_all_answers_have_a_gain_only_if_both_groups_have(config: ClickHouseConfig, loaded: Pipeline) -> None:
    made = evaluated(config, loaded, ANSWERED, until=START + timedelta(hours=5.5))  # before the escalated ones
    assert made.reasoner is not None
    assert [one.group for one in made.reasoner.gains] == ["accepted"]


def test_a_point_of_quality_costs_what_asking_costs_for_each_additional_right_answer(reasoner: ReasonerTier) -> None:
    cost = {one.group: one.cost for one in reasoner.gains}
    assert cost["escalated"].mean_usd == pytest.approx(0.02)
    assert cost["escalated"].value is None  # nothing is gained
    assert cost["accepted"].value == pytest.approx(0.02 / (1 / 2))
    assert cost["all"].value == pytest.approx(0.02 / (1 / 3))
    assert (cost["all"].low, cost["all"].high) == (None, None)  # too few


# ---- Sources ----


def test_sources_are_shown_side_by_side_with_their_kind(made: TierEvaluation) -> None:
    found = [(one.tier, one.source.name, one.source.kind, one.n, one.value) for one in made.accuracies]
    assert found == [
        ("worker", "people:ann", "people", 3, pytest.approx(2 / 3)),
        ("worker", CRM, "system", 1, 0.0),
        ("reasoner", "people:ann", "people", 4, 0.5),
    ]


def test_two_sources_that_disagree_about_an_answer_are_shown_with_the_event(made: TierEvaluation) -> None:
    (found,) = made.conflicts
    assert (found.tier, found.a.name, found.b.name) == ("worker", "people:ann", CRM)
    assert (found.pairs.n, found.pairs.only_a, found.pairs.only_b, found.agree.value) == (1, 1, 0, 0.0)
    assert found.examples == ("w3",)


def test_a_panels_value_of_an_answer_is_compared_with_its_label_and_enters_no_share_of_labels(
    config: ClickHouseConfig, loaded: Pipeline
) -> None:
    judged = AnswerValue(source=PANEL, call_id=worked(of("w2")).call_id, wrong=0.0)
    undecided = AnswerValue(source=PANEL, call_id=worked(of("w1")).call_id, wrong=0.5)
    made = evaluated(config, loaded, ANSWERED, panels=PanelFigures(answers=(judged, undecided)))
    (found,) = [one for one in made.conflicts if PANEL in (one.a, one.b)]
    assert (found.a, found.pairs.n, found.pairs.only_a, found.examples) == (PANEL, 1, 1, ("w2",))
    assert PANEL not in [one.source for one in made.accuracies]


def test_the_caution_about_labels_is_given_only_where_labels_are(config: ClickHouseConfig, loaded: Pipeline) -> None:
    caution = "Shares by labels are those of the labelled tasks."
    with_labels = evaluated(config, loaded, ANSWERED, tiers=("worker",))
    judged = AnswerValue(source=PANEL, call_id=worked(of("w4")).call_id, wrong=0.0)
    without = evaluated(
        config, loaded, ANSWERED, tiers=("worker",), panels=PanelFigures(answers=(judged,)),
        since=START + timedelta(hours=3.5), until=START + timedelta(hours=4.5),
    )  # fmt: skip
    assert [one for one in with_labels.cautions if one.startswith(caution)]
    assert without.cautions == ()


# ---- Listeners ----


@pytest.fixture(scope="module")
def tier1(config: ClickHouseConfig, loaded: Pipeline) -> ListenerTier:
    made = evaluated(config, loaded, HEARD, tiers=("listener",))
    assert made.workers is None
    assert made.listener is not None
    return made.listener


@pytest.fixture(scope="module")
def intents(tier1: ListenerTier) -> IntentTruth:
    (truth,) = tier1.truths
    return truth


def test_ignored_and_unsure_are_shares_of_tasks_and_duplicates_count_events(tier1: ListenerTier) -> None:
    totals = tier1.totals
    assert (totals.events, totals.tasks) == (12, 9)
    assert (hits(tier1.ignored), hits(tier1.unsure)) == ((2, 9), (2, 9))
    assert totals.duplicates == 3


def test_an_exact_copy_that_was_not_found_is_named(tier1: ListenerTier) -> None:
    assert (tier1.totals.copies, tier1.totals.missed, tier1.totals.examples) == (2, 1, ("i6",))


def test_the_confusion_matrix_counts_each_task_once(intents: IntentTruth) -> None:
    assert {(one.truth, one.found): one.tasks for one in intents.matrix} == {
        ("order", "order"): 1,
        ("order", "unsure"): 1,
        ("refund", "order"): 1,
        ("photo", "photo"): 1,
        ("receipt", "duplicate"): 1,
        ("duplicate", "photo"): 1,
    }
    assert hits(intents.right) == (2, 6)


def test_precision_falls_by_a_wrong_finding_and_recall_by_a_missed_one(intents: IntentTruth) -> None:
    found = {one.intent: (hits(one.precision), hits(one.recall)) for one in intents.intents}
    assert found["order"] == ((1, 2), (1, 2))
    assert found["photo"] == ((1, 2), (1, 1))
    assert found["refund"] == ((0, 0), (0, 1))


def test_each_listener_is_measured_on_what_it_looked_at(intents: IntentTruth, tier1: ListenerTier) -> None:
    found = {one.listener: (hits(one.found), hits(one.right)) for one in intents.listeners}
    assert found == {"rules": ((5, 6), (2, 5)), "seen": ((1, 3), (0, 1))}
    (seen,) = [one for one in intents.listeners if one.listener == "seen"]
    assert {(one.truth, one.found): one.tasks for one in seen.matrix} == {
        ("photo", NO_LABEL): 1,
        ("receipt", "duplicate"): 1,
        ("duplicate", NO_LABEL): 1,
    }
    assert [(one.listener, one.tasks, one.found) for one in tier1.listeners] == [("rules", 9, 7), ("seen", 5, 3)]


def test_duplicates_are_right_wrong_missed_or_undecided_by_their_labels(intents: IntentTruth) -> None:
    found = intents.duplicates
    assert (found.right, found.wrong, found.missed, found.undecided) == (1, 1, 1, 1)
    assert (hits(found.precision), hits(found.recall)) == ((1, 2), (1, 2))
    assert (found.wrong_examples, found.missed_examples) == (("i3",), ("i5",))


# ---- What is missing ----


def test_a_time_without_events_is_refused_with_a_remedy(config: ClickHouseConfig, loaded: Pipeline) -> None:
    with pytest.raises(ConfigError, match=r"no event of the run 'heard' lies in this time.*--since"):
        evaluated(config, loaded, HEARD, since=LATEST.replace(year=2100))


def test_an_unknown_run_is_refused_with_the_runs_that_exist(config: ClickHouseConfig, loaded: Pipeline) -> None:
    with pytest.raises(ConfigError, match=r"no event of a run 'gone'.*answered, heard"):
        evaluated(config, loaded, "gone")


def test_an_empty_audit_is_refused_with_a_first_step(config: ClickHouseConfig, loaded: Pipeline) -> None:
    empty = replace(config, database="empty")
    migrate(empty)
    with pytest.raises(ConfigError, match=r"the audit has no event.*escalon demo"):
        evaluated(empty, loaded, ANSWERED)


@pytest.mark.parametrize(
    ("place", "run", "what"),
    [
        ("attempts", ANSWERED, "more than 3 attempts"),
        ("truth", ANSWERED, "more than 3 labels"),
        ("heard", HEARD, "more than 3 labelled events"),
    ],
)
def test_more_than_can_be_read_at_once_is_refused(
    place: str, run: str, what: str, config: ClickHouseConfig, loaded: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"streams.evaluation.tiers.{place}.MAX_CASES", 3)
    with pytest.raises(ConfigError, match=what):
        evaluated(config, loaded, run)


def test_without_labels_it_says_how_to_get_them(config: ClickHouseConfig, loaded: Pipeline) -> None:
    made = evaluated(config, loaded, ANSWERED, tiers=("listener",))
    (caution,) = made.cautions
    assert "Publish labels with the aspect `intent`" in caution


# ---- The page ----


def test_names_from_labels_and_events_are_shown_and_never_run(config: ClickHouseConfig, loaded: Pipeline) -> None:
    made = evaluated(config, loaded, ANSWERED)
    evil = TruthSource("<script>alert('$x$')</script>", "label")
    accuracies = tuple(replace(one, source=evil) for one in made.accuracies)
    text = page(replace(made, run=evil.name, accuracies=accuracies))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
