from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.calibrators import Calibrator, IdentityCalibrator, Isotonic, Temperature
from streams.calibration.drift import Reference
from streams.core.errors import ConfigError


def artifact(calibrator: Calibrator = Temperature(2.5)) -> CalibrationArtifact:  # noqa: B008 - immutable
    return CalibrationArtifact(
        handler="answer",
        handler_version="3f2a",
        scoring="91c0",
        created="2026-11-24",
        calibrator=calibrator,
        calibration_set="ab" * 32,
        n=500,
        log_loss=0.41,
        brier=0.13,
        ece=0.021,
        method="exact binomial",
        max_error=0.05,
        certainty=0.95,
        threshold=0.8123456789012345,
        raw_threshold=0.9,
        bound=0.049,
        coverage=0.6,
        accepted=300,
        errors=8,
        reference=Reference((0.5,), (0, 1, 2)),
        labels_source="panel",
    )


def edited(**changes: Any) -> str:
    return json.dumps(json.loads(artifact().to_json()) | changes)


CALIBRATORS: st.SearchStrategy[Calibrator] = st.one_of(
    st.just(IdentityCalibrator()), st.floats(0.01, 100).map(Temperature), st.just(Isotonic((0.1, 0.9), (0.2, 0.8)))
)


@given(CALIBRATORS)
def test_an_artifact_comes_back_equal_from_its_text(calibrator: Calibrator) -> None:
    made = artifact(calibrator)
    assert CalibrationArtifact.parse(made.to_json()) == made
    assert CalibrationArtifact.parse(made.to_json()).to_json() == made.to_json()


def test_the_text_of_an_artifact_has_one_field_a_line() -> None:
    text = artifact(Isotonic((0.1, 0.9), (0.2, 0.8))).to_json()
    assert text.endswith("}\n")
    assert '  "threshold": 0.8123456789012345,\n' in text
    assert '  "calibrator": {\n    "method": "isotonic",\n    "x": [0.1, 0.9],\n    "y": [0.2, 0.8]\n  },\n' in text


def test_the_id_follows_from_the_content_but_not_from_the_date() -> None:
    made = artifact()
    assert len(made.id) == 16
    assert int(made.id, 16) >= 0
    assert replace(made, created="2027-01-01").id == made.id
    assert replace(made, threshold=0.8).id != made.id
    assert artifact(Temperature(2.6)).id != made.id


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 0.5},
        {"errors": 7},
        {"labels_source": "me"},
        {"reference": {"edges": [0.5], "counts": [0, 1, 3]}},
        {"calibrator": {"method": "temperature", "t": 2.0}},
        {"id": "0" * 16},
        {"id": None},
    ],
)
def test_an_artifact_edited_by_hand_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"was edited by hand\. Run `escalon calibrate` again"):
        CalibrationArtifact.parse(edited(**changes))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"version": 2}, "version"),
        ({"handler": ""}, "handler"),
        ({"scoring": 3}, "scoring"),
        ({"created": "24.11.2026"}, "created"),
        ({"created": "20261124"}, "created"),
        ({"calibration_set": "abc"}, "calibration_set"),
        ({"calibrator": {"method": "temperature", "t": -1}}, "calibrator.t"),
        ({"n": 0}, "n"),
        ({"n": 500.0}, "n"),
        ({"accepted": 501}, "accepted"),
        ({"errors": 301}, "errors"),
        ({"errors": True}, "errors"),
        ({"log_loss": math.inf}, "log_loss"),
        ({"threshold": 1.1}, "threshold"),
        ({"bound": None}, "bound"),
        ({"max_error": [0.1]}, "max_error"),
        ({"reference": []}, "reference"),
        ({"reference": {"edges": [0.5, 0.1], "counts": [1, 1, 1, 1]}}, "reference"),
        ({"reference": {"edges": [], "counts": [1]}}, "reference"),
        ({"raw_threshold": -0.1}, "raw_threshold"),
        ({"note": "mine"}, "note"),
    ],
)
def test_a_wrong_field_is_refused_by_name(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        CalibrationArtifact.parse(edited(**changes))
    assert refused.value.key == key


@pytest.mark.parametrize("name", sorted(json.loads(artifact().to_json())))
def test_a_missing_field_is_refused_by_name(name: str) -> None:
    data = json.loads(artifact().to_json())
    del data[name]
    with pytest.raises(ConfigError) as refused:
        CalibrationArtifact.parse(json.dumps(data))
    assert refused.value.key == name


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_a_text_that_is_not_a_json_object_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="JSON"):
        CalibrationArtifact.parse(text)
