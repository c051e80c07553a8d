"""The packaged recording of the demo's models: what they answered, and when it was made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from streams.core.errors import ConfigError
from streams.pipeline.load import Pipeline

FILE = "recorded.jsonl"
ABOUT = "recorded.json"


@dataclass(frozen=True, slots=True)
class DemoRecording:
    """A recording in a directory of the support desk."""

    cassette: Path
    recorded_on: str
    """A date, ISO 8601."""
    models: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"The models' answers were recorded on {self.recorded_on} with {' and '.join(self.models)}."


def read_recording(directory: Path) -> DemoRecording:
    """Return the recording in a directory. Raises ConfigError if there is none."""
    about = directory / ABOUT
    if not about.is_file():
        raise ConfigError(f"There is no recording in {directory}.", "Make one with `escalon demo --record DIRECTORY`.")
    found = json.loads(about.read_text("utf-8"))
    return DemoRecording(directory / FILE, found["recorded_on"], tuple(found["models"]))


def begin_recording(directory: Path) -> Path:
    """Delete the recording in a directory, so that a new one can begin; return its file."""
    for name in (FILE, ABOUT):
        (directory / name).unlink(missing_ok=True)
    return directory / FILE


def finish_recording(directory: Path, pipeline: Pipeline, today: date) -> None:
    """Write beside a recording when and with which models it was made, and sort it, so that two can be compared."""
    file = directory / FILE
    lines = file.read_text("utf-8").splitlines()
    file.write_text("\n".join(sorted(lines)) + "\n", "utf-8")
    about = {
        "recorded_on": today.isoformat(),
        "models": sorted({one.model for one in pipeline.spec.models.values()}),
    }
    (directory / ABOUT).write_text(json.dumps(about, indent=2) + "\n", "utf-8")
