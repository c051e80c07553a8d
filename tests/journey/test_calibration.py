"""From labels to a calibration to other decisions, and to the day it no longer holds; on real servers."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streams.calibration.artifact import CalibrationArtifact
from tests.harness.journey import Journey, running_journey

pytestmark = pytest.mark.embedded

PIPELINE = Path(__file__).parent / "calibration" / "pipeline.toml"
LABELLED, LATER, DRIFTED = 160, 40, 120


def stated(number: int) -> float:
    """Return the model's stated confidence in question `number`: spread evenly from 0.3 to 0.95."""
    return round(0.3 + 0.65 * (number % LABELLED) / LABELLED, 4)


def answer(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The worker is right when it is more than half sure; the reasoner always."""
    prompt = str(body["messages"][-1]["content"])
    found = re.search(r"number (\d+)", prompt)
    assert found is not None
    if body["model"] == "claude-opus-5-5":
        return {"answer": {"thoughts": "all considered", "reply": "right"}}
    confidence = 0.31 if "lately" in prompt else stated(int(found[1]))
    return {"answer": {"reply": "right" if confidence >= 0.5 else "wrong"}, "confidence": confidence}


@dataclass(frozen=True)
class Calibrating:
    """A running pipeline in a directory of its own."""

    journey: Journey
    directory: Path

    def ask(self, names: Mapping[str, str]) -> None:
        """Publish questions by event id, in no order, and wait for their outcomes."""
        shuffled = list(names.items())
        random.Random(1).shuffle(shuffled)
        with self.journey.publisher() as publisher:
            for event_id, text in shuffled:
                publisher.publish(text, id=event_id)
        self.journey.outcomes(set(names))

    def calls(self, prefix: str, expected: int) -> list[dict[str, Any]]:
        """The worker's calls for the events whose ids start so."""
        return self.journey.query(
            "SELECT event_id, decision, raw_confidence, confidence, threshold, calibration, decision_reason FROM calls "
            f"WHERE handler = 'answer' AND startsWith(event_id, '{prefix}') ORDER BY event_id",
            until=lambda rows: len(rows) == expected,
        )

    def escalon(self, *arguments: str) -> dict[str, Any]:
        """A command's JSON."""
        command = [sys.executable, "-m", "streams", *arguments, "--pipeline", str(self.directory / "pipeline.toml")]
        environment = dict(self.journey.running.environment)
        done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


@pytest.fixture(scope="module", params=["tansu", "kafka"])
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calibrating]:
    """The pipeline, running on each of the two brokers."""
    home = request.getfixturevalue("kafka_home") if request.param == "kafka" else None
    data = tmp_path_factory.mktemp(request.param)
    shutil.copy(PIPELINE, data)
    with running_journey(data / "pipeline.toml", data / "data", home, answer, {"ESCALON_PARTITIONS": "1"}) as journey:
        yield Calibrating(journey, data)


def test_before_it_is_calibrated_the_worker_is_believed_by_a_threshold_that_is_a_guess(here: Calibrating) -> None:
    here.ask({f"old-{number:03}": f"What of number {number}?" for number in range(LABELLED)})
    rows = here.calls("old", LABELLED)
    assert {row["calibration"] for row in rows} == {None}
    assert sum(row["decision"] == "accepted" for row in rows) == sum(stated(n) >= 0.9 for n in range(LABELLED))


def test_labels_make_a_calibration_with_the_guarantee_that_was_asked_for(here: Calibrating) -> None:
    with here.journey.publisher() as publisher:
        for number in range(LABELLED):
            publisher.label(f"old-{number:03}", {"reply": "right"}, source="test")
    here.journey.query("SELECT count() AS n FROM labels", until=lambda rows: rows[0]["n"] == LABELLED)
    made = here.escalon("calibrate", "--handler", "answer", "--max-error", "0.1", "--certainty", "0.9")
    artifact = CalibrationArtifact.parse((here.directory / "calibration" / "answer.json").read_text("utf-8"))
    assert (made["id"], made["n"]) == (artifact.id, LABELLED)
    assert 0.4 < artifact.raw_threshold < 0.55
    assert (artifact.max_error, artifact.certainty) == (0.1, 0.9)
    assert artifact.errors / artifact.accepted < 0.1


def test_the_reloaded_pipeline_decides_as_the_calibration_says_and_every_call_names_it(here: Calibrating) -> None:
    artifact = CalibrationArtifact.parse((here.directory / "calibration" / "answer.json").read_text("utf-8"))
    file = here.directory / "pipeline.toml"
    trusted = 'calibration = "calibration/answer.json"\non_expiry = "fallback"\nfallback_threshold = 0.999'
    file.write_text(file.read_text("utf-8").replace("threshold = 0.9", trusted), "utf-8")
    here.journey.running.reload()
    here.ask({f"new-{number:03}": f"And what of number {number}?" for number in range(0, LABELLED, LABELLED // LATER)})
    rows = here.calls("new", LATER)
    assert {row["calibration"] for row in rows} == {artifact.id}
    assert all(row["confidence"] == artifact.calibrator(row["raw_confidence"]) for row in rows)
    accepted = {row["event_id"] for row in rows if row["decision"] == "accepted"}
    assert accepted == {row["event_id"] for row in rows if row["raw_confidence"] >= artifact.raw_threshold}
    changed = [row for row in rows if row["event_id"] in accepted and row["raw_confidence"] < 0.9]
    assert len(changed) > LATER / 4, "what the guess would have sent on is accepted now"


def test_while_the_stream_stays_as_it_was_the_report_says_that_the_calibration_holds(here: Calibrating) -> None:
    (standing,) = here.escalon("report")["calibrations"]
    assert (standing["worker"], standing["holds"], standing["scores"]) == ("answer", True, LATER)


def test_a_drifted_stream_raises_the_flag_and_the_fallback_is_asked_for(here: Calibrating) -> None:
    here.ask({f"lately-{number:03}": f"What of number {number}, lately?" for number in range(DRIFTED)})
    rows = here.calls("lately", DRIFTED)
    fallen_back = [row for row in rows if row["calibration"] is None]
    assert len(fallen_back) > DRIFTED / 4
    assert all(row["threshold"] == 0.999 and "no longer holds" in row["decision_reason"] for row in fallen_back)
    (standing,) = here.escalon("report")["calibrations"]
    assert (standing["scores_hold"], standing["holds"]) == (False, False)
