"""A worker's sources of confidence, and the threshold that its answers must reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from streams.calibration.artifact import CalibrationArtifact
from streams.core.errors import ConfigError
from streams.core.escalation import Threshold
from streams.core.fingerprint import digest
from streams.pipeline import spec as s
from streams.pipeline.files import PipelineFiles

ANOTHER_VERSION = "; its calibration is another version's"
ANOTHER_MODEL = "; its fallback model answered, of which the calibration says nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceConfig:
    """A worker's sources of confidence and its threshold, with all files read."""

    sources: tuple[str, ...]
    combine: s.Combine
    samples: int
    """Calls for one task; 1 without self-consistency."""
    verifier: Path | None
    verifier_score: s.VerifierScore
    scoring: str
    """A hash of everything that makes the raw confidence. A calibration belongs to one such hash."""
    artifact: CalibrationArtifact | None
    threshold: float | None
    """On the raw confidence, where there is no calibration."""
    fallback: float | None
    """Holds after the calibration has expired; None keeps the calibration's own."""
    explore: float
    stale: bool = False
    """True if the calibration is another version's."""

    @property
    def current_threshold(self) -> Threshold:
        """The threshold while the calibration holds."""
        if self.artifact is None:
            return self.expired_threshold(ANOTHER_VERSION) if self.stale else Threshold(self.threshold)
        return Threshold(self.artifact.threshold, self.artifact.id, self.artifact.raw_threshold)

    @property
    def fallback_model_threshold(self) -> Threshold:
        """The threshold for answers of the fallback model, of which a calibration says nothing.

        It is `fallback` on the raw confidence; without one no answer is accepted.
        """
        threshold = 1.0 if self.fallback is None else self.fallback
        return Threshold(threshold, raw_threshold=math.inf if threshold == 1 else threshold, note=ANOTHER_MODEL)

    def expired_threshold(self, note: str) -> Threshold:
        """Return the threshold without a valid calibration; a fallback of 1 accepts no confidence at all."""
        unreachable = math.inf if self.fallback == 1 else None
        return Threshold(self.fallback, raw_threshold=unreachable, note=f"{note}, so its fallback is asked for")

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(name for name in self.sources if ":" in name)


def resolve_confidence(name: str, item: s.WorkerSpec, version: str, source: PipelineFiles) -> ConfidenceConfig:
    """Resolve a worker's confidence. Raises ConfigError for a missing or broken file, or one of another version."""
    key = f"workers.{name}"
    verifier = (
        source.read_bytes(item.verifier, f"{key}.verifier", f"escalon train verifier --handler {name}")
        if item.verifier
        else b""
    )
    functions = [source.module(path, f"{key}.confidence") for path in item.confidence if ":" in path]
    samples = item.samples if "self-consistency" in item.confidence else 1
    correct = item.correct.model_dump_json() if samples > 1 else ""
    if samples > 1 and ":" in item.correct.by:
        functions.append(source.module(item.correct.by, f"{key}.correct.by"))
    score = item.verifier_score if verifier else ""
    made_of: tuple[str | bytes | int, ...] = (
        *item.confidence,
        item.combine_confidence,
        samples,
        correct,
        score,
        verifier,
        *functions,
    )
    scoring = digest(version, *made_of)
    fallback = item.fallback_threshold if item.on_expiry == "fallback" else None
    artifact = _artifact(name, item, scoring, source)
    return ConfidenceConfig(
        sources=item.confidence,
        combine=item.combine_confidence,
        samples=samples,
        verifier=source.directory / item.verifier if item.verifier else None,
        verifier_score=item.verifier_score,
        scoring=scoring,
        artifact=artifact,
        threshold=item.threshold,
        fallback=fallback,
        explore=item.explore,
        stale=item.calibration is not None and artifact is None,
    )


def _artifact(name: str, item: s.WorkerSpec, scoring: str, source: PipelineFiles) -> CalibrationArtifact | None:
    """Return the calibration; None without one, or when it is another version's and the file says to fall back."""
    if item.calibration is None:
        return None
    key = f"workers.{name}.calibration"
    text = source.read(item.calibration, key, f"escalon calibrate --handler {name}")
    try:
        artifact = CalibrationArtifact.parse(text)
    except ConfigError as error:
        raise ConfigError(f"{item.calibration}: {error.what}", error.remedy, key) from error
    if artifact.handler == name and artifact.scoring == scoring:
        return artifact
    if artifact.handler == name and item.on_expiry == "fallback":
        return None
    made_for = "another version of this worker" if artifact.handler == name else f"the worker {artifact.handler!r}"
    remedy = f'Run `escalon calibrate --handler {name}` again, or set on_expiry = "fallback" until then.'
    raise ConfigError(f"{item.calibration} was made for {made_for}.", remedy, key)
