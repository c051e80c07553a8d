"""The artifact of a calibration: a versioned JSON file that reads well as a diff."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from hashlib import sha256
from typing import Any, Self

from streams.calibration.calibrators import Calibrator, calibrator_from
from streams.calibration.drift import Reference
from streams.calibration.validation import AGAIN, check, check_keys, number, share
from streams.core.errors import ConfigError

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationArtifact:
    """One handler's calibrator and threshold, and the guarantee that they have.

    `log_loss` (nats), `brier` and `ece` are measured out of fold on the `n` cases of the calibration set, whose
    sorted cases hash to `calibration_set`. By `method`, with probability `certainty` over the drawing of those
    cases, at most `max_error` of the answers with a raw score of at least `raw_threshold` are wrong; `threshold` is
    that score as a probability. `bound` is the upper bound of the error, `coverage` the share accepted, `accepted` and
    `errors` the counts behind them. `reference` holds the raw scores in bins, for a later test of drift. `id` is a hash
    of all fields but the date. Raises ConfigError that names the field at fault.
    """

    version: int = VERSION
    id: str = field(init=False, default="")
    handler: str
    handler_version: str
    scoring: str
    created: str
    calibrator: Calibrator
    calibration_set: str
    n: int
    log_loss: float
    brier: float
    ece: float
    method: str
    max_error: float
    certainty: float
    threshold: float
    raw_threshold: float
    bound: float
    coverage: float
    accepted: int
    errors: int
    reference: Reference
    labels_source: str

    def __post_init__(self) -> None:
        _check_artifact(self)
        object.__setattr__(self, "id", self._identity())

    def to_json(self) -> str:
        """Write JSON: one field a line, in the order of the fields, floats as repr writes them."""
        return _lines({f.name: _plain(getattr(self, f.name)) for f in fields(self)}) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises ConfigError for anything else, or an edit by hand."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"The calibration is not JSON ({error}).", AGAIN) from error
        if not isinstance(data, dict):
            raise ConfigError("The calibration must be a JSON object.", AGAIN)
        if data.get("version") != VERSION:
            raise ConfigError(f"This release reads version {VERSION} of a calibration.", AGAIN, "version")
        check_keys(data, {f.name for f in fields(cls)}, "")
        given = {f.name: data[f.name] for f in fields(cls) if f.init and f.name not in ("calibrator", "reference")}
        calibrator, reference = calibrator_from(data["calibrator"]), Reference.from_json(data["reference"])
        made = cls(**given, calibrator=calibrator, reference=reference)
        if data["id"] != made.id:
            raise ConfigError(f"The calibration {data['id']!r} was edited by hand.", AGAIN, "id")
        return made

    def _identity(self) -> str:
        content = {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name not in ("id", "created")}
        return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, (Calibrator, Reference)):
        return value.as_json()
    return list(value) if isinstance(value, tuple) else value


def _lines(data: Mapping[str, Any], indent: str = "  ") -> str:
    """Write JSON with one key a line and every list on its key's line, so that a diff shows what changed."""
    parts = (
        f"{indent}{json.dumps(key)}: "
        + (_lines(value, indent + "  ") if isinstance(value, dict) else json.dumps(value, allow_nan=False))
        for key, value in data.items()
    )
    return "{\n" + ",\n".join(parts) + f"\n{indent[2:]}}}"


def _check_artifact(made: CalibrationArtifact) -> None:
    check(made.version == VERSION, "version", f"{VERSION}")
    for name in ("handler", "handler_version", "scoring", "method", "labels_source"):
        text = getattr(made, name)
        check(isinstance(text, str) and bool(text.strip()), name, "a text, not empty")
    for name in ("brier", "ece", "max_error", "certainty", "threshold", "raw_threshold", "bound", "coverage"):
        check(share(getattr(made, name)), name, "a number from 0 to 1")
    check(number(made.log_loss) and made.log_loss >= 0, "log_loss", "a number of at least 0")
    check(_iso_date(made.created), "created", "a date such as 2026-01-31")
    check(isinstance(made.calibrator, Calibrator), "calibrator", "a calibrator")
    hexadecimal = isinstance(made.calibration_set, str) and re.fullmatch("[0-9a-f]{64}", made.calibration_set)
    check(bool(hexadecimal), "calibration_set", "a SHA-256 of 64 hexadecimal digits")
    check(_count(made.n, math.inf) and made.n > 0, "n", "a whole number above 0")
    check(_count(made.accepted, made.n), "accepted", "a whole number from 0 to n")
    check(_count(made.errors, made.accepted), "errors", "a whole number from 0 to accepted")
    check(isinstance(made.reference, Reference), "reference", "bins of scores")


def _count(value: object, most: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _iso_date(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
