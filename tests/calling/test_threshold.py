"""The bar of a confidence, while its calibration holds and after."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from streams.calibration.drift import Watch, observe, watch
from streams.calling.threshold import NO_LONGER, ThresholdPolicy
from streams.core.escalation import Threshold
from streams.core.fingerprint import draw
from streams.pipeline.confidence import ConfidenceConfig
from tests.harness.confidence import FakeWatches, attempt, calibration, config

ARTIFACT = calibration()
KEEPS = config("verbalized", artifact=ARTIFACT, threshold=0.75)
FALLS_BACK = dataclasses.replace(KEEPS, fallback=1.0)
HELD = Threshold(0.75, ARTIFACT.id, 0.9)


@dataclass
class Here:
    """A policy with what it remembers and what it has reported."""

    policy: ThresholdPolicy
    watches: FakeWatches
    told: list[tuple[str, str, bool]]

    def threshold(self, raw: float | None, call_id: str = "c") -> Threshold:
        """The bar for an answer with this raw confidence."""
        self.policy.observe("extract", attempt(call_id, raw=raw))
        return self.policy.threshold("extract")

    def flagged_after(self, raw: float | None, most: int = 400) -> int:
        """Return the number of answers of one raw confidence until the calibration no longer holds."""
        for number in range(1, most):
            self.threshold(raw, f"call {number}")
            if not self.told[-1][2]:
                return number
        raise AssertionError("never flagged")


def here(believed: ConfidenceConfig = KEEPS, partitions: int = 1, **more: ConfidenceConfig) -> Here:
    watches, told = FakeWatches(), list[tuple[str, str, bool]]()
    policy = ThresholdPolicy(
        configs={"extract": believed, **more},
        watches=watches,
        partitions=partitions,
        report=lambda *said: told.append(said),
    )
    return Here(policy, watches, told)


def usual(number: int) -> list[float]:
    """Raw scores as those of the calibration."""
    return list(np.random.default_rng(7).uniform(0.5, 1.0, number).tolist())


@pytest.mark.parametrize("threshold", [None, 0.0, 0.8])
def test_without_a_calibration_the_workers_own_threshold_applies_and_nothing_is_watched(
    threshold: float | None,
) -> None:
    one = here(config("verbalized", threshold=threshold))
    assert one.threshold(0.9) == Threshold(threshold)
    assert (one.told, one.watches.kept) == ([], {})


def test_a_calibration_made_for_another_version_leaves_the_fallback_as_the_threshold() -> None:
    one = here(config("verbalized", threshold=0.95, fallback=0.95))
    assert one.threshold(0.9) == Threshold(0.95)
    assert one.told == []


@pytest.mark.parametrize("believed", [KEEPS, FALLS_BACK], ids=["warn", "fallback"])
def test_while_the_scores_look_like_the_calibrations_its_threshold_applies(believed: ConfidenceConfig) -> None:
    one = here(believed)
    assert {one.threshold(raw, f"call {place}") for place, raw in enumerate(usual(400))} == {HELD}
    assert set(one.told) == {("extract", ARTIFACT.id, True)}


def test_once_the_scores_have_changed_the_threshold_stays_and_says_so() -> None:
    one = here(KEEPS)
    one.flagged_after(0.1)
    assert one.threshold(0.9) == Threshold(0.75, ARTIFACT.id, 0.9, NO_LONGER)
    assert one.told[-1] == ("extract", ARTIFACT.id, False)


def test_once_the_scores_have_changed_the_fallback_is_asked_for_by_no_calibrations_word() -> None:
    one = here(FALLS_BACK)
    one.flagged_after(0.1)
    bar = one.threshold(0.9)
    assert (bar.threshold, bar.calibration) == (1.0, None)
    assert bar.note == f"{NO_LONGER}, so its fallback is asked for"


def test_a_calibration_that_has_expired_stays_so() -> None:
    one = here(KEEPS)
    before = one.flagged_after(0.1)
    for place, raw in enumerate(usual(300)):
        assert one.threshold(raw, f"after {place}").note
    assert [holds for *_, holds in one.told] == [True] * (before - 1) + [False] * 301


def test_each_score_is_shown_to_the_watch_once_with_a_draw_of_its_own() -> None:
    one, state = here(), watch(ARTIFACT.reference)
    for place, raw in enumerate(usual(5)):
        one.threshold(raw, f"call {place}")
        state = observe(ARTIFACT.reference, state, raw, draw("watch", f"call {place}"))
    assert one.watches.kept == {ARTIFACT.id: state}


def test_an_unknown_score_is_watched_too() -> None:
    one = here()
    one.threshold(None)
    expected = observe(ARTIFACT.reference, watch(ARTIFACT.reference), math.nan, draw("watch", "c"))
    assert one.watches.kept[ARTIFACT.id] == expected
    assert one.flagged_after(None) < 100


@pytest.mark.parametrize("status", ["refused", "invalid", "failed"])
def test_an_attempt_without_an_answer_has_no_score_to_watch_and_meets_the_same_threshold(status: Any) -> None:
    one = here()
    one.policy.observe("extract", dataclasses.replace(attempt(raw=None), status=status, answer=None))
    assert one.watches.kept == {}
    assert one.policy.threshold("extract") == HELD
    one.flagged_after(0.1)
    assert one.policy.threshold("extract").note == NO_LONGER


def test_of_many_partitions_each_may_raise_only_its_share_of_the_alarms() -> None:
    assert here(partitions=1).flagged_after(0.1) < here(partitions=1000).flagged_after(0.1)


def test_a_new_calibration_is_watched_from_the_start() -> None:
    one = here()
    one.flagged_after(0.1)
    newer = calibration(n=399)
    again = dataclasses.replace(one.policy, configs={"extract": dataclasses.replace(KEEPS, artifact=newer)})
    again.observe("extract", attempt(raw=0.9))
    assert again.threshold("extract") == Threshold(0.75, newer.id, 0.9)
    assert set(one.watches.kept) == {ARTIFACT.id, newer.id}


def test_each_worker_is_watched_by_its_own_calibration() -> None:
    other = calibration(handler="answer")
    one = here(KEEPS, answer=dataclasses.replace(KEEPS, artifact=other))
    one.flagged_after(0.1)
    assert one.policy.threshold("answer") == Threshold(0.75, other.id, 0.9)
    assert one.told[-1] == ("answer", other.id, True)


def test_a_watch_goes_on_where_another_process_left_it() -> None:
    one = here()
    whole = one.flagged_after(0.1)
    parts = here()
    for number in range(1, whole):
        parts.threshold(0.1, f"call {number}")
    moved = here()
    for key, state in parts.watches.kept.items():
        moved.watches.put(key, Watch.from_bytes(state.to_bytes()))
    moved.threshold(0.1, f"call {whole}")
    assert (parts.told[-1][2], moved.told[-1][2]) == (True, False)
