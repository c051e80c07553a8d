from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.calibration.calibrators import (
    Calibrator,
    IdentityCalibrator,
    Isotonic,
    Platt,
    Temperature,
    VennAbers,
    calibrator_from,
    logit,
    sigmoid,
)
from streams.core.errors import ConfigError

SHARES = st.floats(0, 1)


def ascending(size: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.lists(SHARES, min_size=size, max_size=size).map(lambda values: tuple(sorted(values)))


@st.composite
def isotonics(draw: st.DrawFn) -> Isotonic:
    x = tuple(sorted(draw(st.sets(SHARES, min_size=1, max_size=6))))
    return Isotonic(x, draw(ascending(len(x))))


@st.composite
def venn_abers(draw: st.DrawFn) -> VennAbers:
    x = tuple(sorted(draw(st.sets(SHARES, min_size=1, max_size=6))))
    one, two = draw(ascending(len(x))), draw(ascending(len(x)))
    return VennAbers(x, tuple(map(min, one, two)), tuple(map(max, one, two)))


CALIBRATORS: st.SearchStrategy[Calibrator] = st.one_of(
    st.just(IdentityCalibrator()),
    st.floats(0.01, 100).map(Temperature),
    st.builds(Platt, st.floats(0, 50), st.floats(-20, 20)),
    isotonics(),
    venn_abers(),
)


@given(CALIBRATORS, SHARES, SHARES)
def test_a_higher_score_never_gets_a_lower_probability(calibrator: Calibrator, one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert calibrator(low) <= calibrator(high) + 1e-12


@given(CALIBRATORS, st.lists(st.floats(-2, 3), max_size=20))
def test_many_scores_get_exactly_what_each_gets_alone(calibrator: Calibrator, raw: list[float]) -> None:
    together = calibrator.many(np.array(raw))
    assert together.dtype == np.float64
    assert together.tolist() == [calibrator(score) for score in raw]


def test_many_keeps_the_shape_of_its_scores() -> None:
    assert IdentityCalibrator().many(np.array([[0.1, 0.2, 0.3]])).shape == (1, 3)


@given(CALIBRATORS, st.floats(allow_nan=False))
def test_a_probability_lies_between_0_and_1_and_a_score_outside_counts_as_the_nearer_end(
    calibrator: Calibrator, raw: float
) -> None:
    assert 0.0 <= calibrator(raw) <= 1.0
    assert calibrator(raw) == calibrator(min(max(raw, 0.0), 1.0))


@given(CALIBRATORS)
def test_nan_stays_nan(calibrator: Calibrator) -> None:
    assert math.isnan(calibrator(math.nan))
    assert np.isnan(calibrator.many(np.array([0.5, math.nan]))).tolist() == [False, True]


@given(CALIBRATORS)
def test_a_calibrator_comes_back_equal_from_json(calibrator: Calibrator) -> None:
    assert calibrator_from(json.loads(json.dumps(calibrator.as_json()))) == calibrator


@given(st.floats(1e-5, 1 - 1e-5))
def test_sigmoid_undoes_the_logit(score: float) -> None:
    assert sigmoid(logit(score)) == pytest.approx(score, rel=1e-9)


@pytest.mark.parametrize("value", [-1e4, 1e4])
def test_the_sigmoid_does_not_overflow(value: float) -> None:
    assert sigmoid(value) == (value > 0)


def test_temperature_divides_the_logit() -> None:
    assert Temperature(2.0)(0.9) == pytest.approx(0.75)
    assert Temperature(1.0)(0.3) == pytest.approx(0.3)


def test_certainty_can_be_cooled_by_a_temperature() -> None:
    assert Temperature(3.0)(1.0) == pytest.approx(0.990, abs=1e-3)


def test_platt_leaves_a_probability_alone_with_slope_1_and_shift_0() -> None:
    assert Platt(1.0, 0.0)(0.2) == pytest.approx(0.2)
    assert Platt(0.0, math.log(3))(0.2) == pytest.approx(0.75)


def test_isotonic_draws_straight_lines_between_its_knots_and_is_level_beyond() -> None:
    calibrator = Isotonic((0.2, 0.6), (0.1, 0.5))
    assert [calibrator(s) for s in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0.1, 0.1, 0.3, 0.5, 0.5])


def test_venn_abers_takes_p0_from_the_left_knot_and_p1_from_the_right_one() -> None:
    calibrator = VennAbers((0.2, 0.6), (0.1, 0.4), (0.3, 0.8))
    assert calibrator.interval(0.1) == (0.0, 0.3)
    assert calibrator.interval(0.2) == (0.1, 0.3)
    assert calibrator.interval(0.4) == (0.1, 0.8)
    assert calibrator.interval(0.9) == (0.4, 1.0)
    assert calibrator(0.4) == pytest.approx(0.8 / 1.7)
    assert all(map(math.isnan, calibrator.interval(math.nan)))


@given(venn_abers(), st.floats(-1, 2))
def test_the_merged_probability_lies_within_the_venn_abers_interval(calibrator: VennAbers, raw: float) -> None:
    low, high = calibrator.interval(raw)
    assert low - 1e-12 <= calibrator(raw) <= high + 1e-12


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ([], "calibrator"),
        ({}, "calibrator.method"),
        ({"method": "magic"}, "calibrator.method"),
        ({"method": ["platt"]}, "calibrator.method"),
        ({"method": "identity", "t": 1.0}, "calibrator.t"),
        ({"method": "temperature"}, "calibrator.t"),
        ({"method": "temperature", "t": 0.0}, "calibrator.t"),
        ({"method": "temperature", "t": "2"}, "calibrator.t"),
        ({"method": "temperature", "t": True}, "calibrator.t"),
        ({"method": "temperature", "t": 10**400}, "calibrator.t"),
        ({"method": "temperature", "t": math.nan}, "calibrator.t"),
        ({"method": "platt", "a": -1.0, "b": 0.0}, "calibrator.a"),
        ({"method": "platt", "a": 1.0, "b": math.inf}, "calibrator.b"),
        ({"method": "platt", "a": 1.0, "b": [1.0]}, "calibrator.b"),
        ({"method": "isotonic", "x": [], "y": []}, "calibrator.x"),
        ({"method": "isotonic", "x": [0.5, 0.2], "y": [0.1, 0.2]}, "calibrator.x"),
        ({"method": "isotonic", "x": [0.5, 0.5], "y": [0.1, 0.2]}, "calibrator.x"),
        ({"method": "isotonic", "x": [0.1, math.nan], "y": [0.1, 0.2]}, "calibrator.x"),
        ({"method": "isotonic", "x": 0.5, "y": 0.5}, "calibrator.x"),
        ({"method": "isotonic", "x": [0.1, 0.2], "y": [0.2, 0.1]}, "calibrator.y"),
        ({"method": "isotonic", "x": [0.1, 0.2], "y": [0.2]}, "calibrator.y"),
        ({"method": "isotonic", "x": [0.1], "y": [1.2]}, "calibrator.y"),
        ({"method": "venn-abers", "x": [0.1], "p0": [0.6], "p1": [0.5]}, "calibrator.p1"),
        ({"method": "venn-abers", "x": [0.1], "p0": [-0.1], "p1": [0.5]}, "calibrator.p0"),
    ],
)
def test_a_malformed_calibrator_is_refused_with_the_key_at_fault(data: object, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        calibrator_from(data)
    assert refused.value.key == key
