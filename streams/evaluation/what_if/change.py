"""A change to a pipeline that can be tested on past events: thresholds, calibrations, routes, exploration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from streams.calibration.artifact import CalibrationArtifact
from streams.calibration.calibrators import Calibrator, IdentityCalibrator
from streams.core.errors import ConfigError
from streams.core.escalation import Accept, Threshold, decide
from streams.core.messages import Attempt
from streams.core.routing import DUPLICATE, UNSURE, Route
from streams.pipeline.handlers import TABLES
from streams.pipeline.load import Pipeline
from streams.pipeline.problems import known
from streams.pipeline.spec import PipelineSpec, WorkerSpec

SETTABLE = "workers.NAME.threshold, .calibration, .reasoner or .explore, or routes.INTENT"
REPLAY = "Use `escalon replay`, which calls the models again."


@dataclass(frozen=True, slots=True)
class NewThreshold:
    """A worker's new threshold, and the calibrator of its raw confidence."""

    threshold: Threshold
    calibrator: Calibrator

    def accepts(self, attempt: Attempt) -> bool:
        """True if an attempt would be accepted, by the same rule as live."""
        raw = attempt.raw_confidence
        read = replace(attempt, confidence=None if raw is None else self.calibrator(raw))
        return isinstance(decide(read, self.threshold.threshold, self.threshold.raw_threshold), Accept)


@dataclass(frozen=True, slots=True)
class SettingChange:
    settings: tuple[str, ...] = ()
    thresholds: Mapping[str, NewThreshold] = field(default_factory=dict)
    explore: Mapping[str, float] = field(default_factory=dict)
    reasoners: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)

    @property
    def workers(self) -> tuple[str, ...]:
        return tuple(sorted({*self.thresholds, *self.explore, *self.reasoners}))

    def route_key(self, intent: str, pipeline: Pipeline) -> str:
        """Return the key of the routing table that applies to an intent; UNSURE if it has none."""
        return intent if intent in self.routes or intent in pipeline.routes else UNSURE


def parse_change(settings: Sequence[str], pipeline: Pipeline) -> SettingChange:
    """Parse `KEY=VALUE` settings. Raises ConfigError with the key and the remedy."""
    if not settings:
        raise ConfigError("nothing is set.", f"Use --set KEY=VALUE with {SETTABLE}.", "set")
    change, keys = SettingChange(tuple(settings)), set[str]()
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not value:
            raise ConfigError(
                f"{setting!r} is not KEY=VALUE.", "Write for example workers.answer.threshold=0.8.", "set"
            )
        if key in keys:
            raise ConfigError("it is set twice.", "Set it once.", key)
        keys.add(key)
        change = _with(change, key, value, pipeline)
    return change


def _with(change: SettingChange, key: str, value: str, pipeline: Pipeline) -> SettingChange:
    table, _, rest = key.partition(".")
    if table == "routes" and rest:
        return replace(change, routes={**change.routes, rest: _route(key, rest, value, pipeline)})
    name, _, option = rest.rpartition(".")
    if table != "workers" or name not in pipeline.workers or option not in _WORKER_KEYS:
        raise _not_settable(key, pipeline)
    return _WORKER_KEYS[option](change, name, value, pipeline)


def _threshold(change: SettingChange, name: str, value: str, _: Pipeline) -> SettingChange:
    key = f"workers.{name}.threshold"
    threshold = None if value == "none" else _probability(key, value)
    return _new_threshold(change, name, NewThreshold(Threshold(threshold), IdentityCalibrator()))


def _calibration(change: SettingChange, name: str, value: str, pipeline: Pipeline) -> SettingChange:
    key = f"workers.{name}.calibration"
    found = [path for path in (pipeline.path.parent / value, Path(value)) if path.is_file()]
    if not found:
        raise ConfigError(f"there is no file {value}.", f"Run `escalon calibrate --handler {name}`.", key)
    try:
        artifact = CalibrationArtifact.parse(found[0].read_text("utf-8"))
    except (ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"{value} is not a calibration: {error}", key=key) from error
    config = pipeline.workers[name].confidence
    if artifact.handler != name or config is None or artifact.scoring != config.scoring:
        what = f"{value} was made for another worker, or another version of {name}."
        raise ConfigError(what, f"Run `escalon calibrate --handler {name}` again.", key)
    bar = Threshold(artifact.threshold, artifact.id, artifact.raw_threshold)
    return _new_threshold(change, name, NewThreshold(bar, artifact.calibrator))


def _new_threshold(change: SettingChange, name: str, threshold: NewThreshold) -> SettingChange:
    if name in change.thresholds:
        what = "a calibration sets the threshold itself."
        raise ConfigError(what, "Set one of the two.", f"workers.{name}.threshold")
    return replace(change, thresholds={**change.thresholds, name: threshold})


def _reasoner(change: SettingChange, name: str, value: str, pipeline: Pipeline) -> SettingChange:
    if value not in pipeline.reasoners:
        remedy = known(pipeline.reasoners, "[reasoners.NAME]")
        raise ConfigError(f"no reasoner is named {value!r}.", remedy, f"workers.{name}.reasoner")
    return replace(change, reasoners={**change.reasoners, name: value})


def _explore(change: SettingChange, name: str, value: str, _: Pipeline) -> SettingChange:
    return replace(change, explore={**change.explore, name: _probability(f"workers.{name}.explore", value)})


_WORKER_KEYS: dict[str, Callable[[SettingChange, str, str, Pipeline], SettingChange]] = {
    "threshold": _threshold,
    "calibration": _calibration,
    "reasoner": _reasoner,
    "explore": _explore,
}


def _probability(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise ConfigError(f"{value!r} is not a number from 0 to 1.", "Write for example 0.8.", key)
    return number


def _route(key: str, intent: str, value: str, pipeline: Pipeline) -> Route:
    table, _, name = value.partition(".")
    if intent == DUPLICATE:
        raise ConfigError("the audit does not hold the answer that a duplicate would have got.", REPLAY, key)
    if value == "ignore":
        return Route("ignore")
    if table == "workers" and name in pipeline.workers:
        return Route("work", name)
    if table == "reasoners" and name in pipeline.reasoners:
        return Route("reason", name)
    targets = [*(f"workers.{one}" for one in pipeline.workers), *(f"reasoners.{one}" for one in pipeline.reasoners)]
    raise ConfigError(f"{value!r} is not a target.", known(["ignore", *targets], "a target"), key)


def _not_settable(key: str, pipeline: Pipeline) -> ConfigError:
    """Explain why a key cannot be set: it is unknown, or the audit does not show its effect."""
    table, _, rest = key.partition(".")
    named, option = rest.partition(".")[::2]
    if table not in PipelineSpec.model_fields:
        return ConfigError("the pipeline file has no such key.", f"Set {SETTABLE}.", key)
    if table in TABLES.values() and named not in getattr(pipeline.spec, table):
        names = known(getattr(pipeline.spec, table), f"[{table}.NAME]")
        return ConfigError(f"nothing in [{table}] is named {named!r}.", names, key)
    keys = {one.alias or name for name, one in WorkerSpec.model_fields.items()}
    if table == "workers" and option.partition(".")[0] not in keys:
        return ConfigError("a worker has no such key.", f"Set {SETTABLE}.", key)
    return ConfigError("the audit does not show what this would change.", REPLAY, key)
