"""An evaluation as one JSON document with every figure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from streams.core.time_range import EARLIEST, LATEST
from streams.evaluation.tiers.evaluation import TierEvaluation


def document(made: TierEvaluation) -> dict[str, Any]:
    """Return the evaluation as JSON values: shares from 0 to 1, unknown as null, money in US dollars.

    A tier that was not asked for is null, and so is an open end of the time.
    """
    found = asdict(made)
    if found["reasoner"] is not None:
        del found["reasoner"]["panels"]["answers"]  # each answer by itself, which the panel's own report lists
    return found | {"since": _end(made.since, EARLIEST), "until": _end(made.until, LATEST)}


def _end(time: datetime, limit: datetime) -> datetime | None:
    return None if time == limit else time
