"""The reasons why a task is worth a person's time, and the prediction that its delivered answer is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.panels.population import IntentHistory, Population, PopulationTask

USUAL_ERROR: Final = 0.1
"""The prediction for all tasks where no answer has a confidence."""
NEAREST_SHARE: Final = 0.1
"""The share of the tasks with a threshold that counts as near it."""
EXPENSIVE_SHARE: Final = 0.05
NEW_SHARE: Final = 0.1
"""The last part of the time range: an intent that begins there is new."""
FEW_EVENTS: Final = 5
"""An intent with fewer events is new, too."""
UNCERTAIN: Final = "uncertain"


def predictions(tasks: Sequence[PopulationTask]) -> NDArray[np.float64]:
    """Return the predicted probability that each delivered answer is wrong, shape (N,).

    It is 1 - confidence; without one, the mean of the tasks that have one, or 0.1 if no task does.
    """
    wrong = np.array([np.nan if one.confidence is None else 1 - one.confidence for one in tasks], dtype=float)
    known = np.isfinite(wrong)
    usual = float(wrong[known].mean()) if known.any() else USUAL_ERROR
    return np.clip(np.where(known, wrong, usual), 0.0, 1.0)


def reason_scores(population: Population) -> dict[str, NDArray[np.float64]]:
    """Return by reason how much each task has of it, shape (N,), not negative. Reasons that no task has are left out.

    The standard deviation of a rating whose expected value is f is sqrt(f (1 - f)). Drawing in proportion to it makes
    the estimated error rate most certain (Neyman 1934), so it is the score of `uncertain`.
    """
    tasks, expected = population.tasks, predictions(population.tasks)
    found = {name: np.array([has(one) for one in tasks], dtype=float) for name, has in _FLAGS.items()}
    found["near threshold"] = _smallest([one.distance for one in tasks], NEAREST_SHARE)
    found["new intent"] = _new_intents(population)
    found["expensive"] = _smallest([-one.usd if one.usd > 0 else None for one in tasks], EXPENSIVE_SHARE)
    found[UNCERTAIN] = np.sqrt(expected * (1 - expected))
    return {name: score for name, score in found.items() if score.any()}


_FLAGS: Final[Mapping[str, Callable[[PopulationTask], bool]]] = {
    "tiers disagree": lambda one: one.tiers_disagree,
    "runs disagree": lambda one: one.runs_disagree,
    "needless refusal": lambda one: one.refused_needlessly,
}


def _smallest(values: Sequence[float | None], share: float) -> NDArray[np.float64]:
    """Mark a share of the known values, the smallest ones; of equal values the first ones."""
    known = [(value, place) for place, value in enumerate(values) if value is not None]
    marked = np.zeros(len(values))
    for _, place in sorted(known)[: int(np.ceil(share * len(known)))]:
        marked[place] = 1.0
    return marked


def _new_intents(population: Population) -> NDArray[np.float64]:
    """Mark the tasks whose intent began in the last part of the time range, or has few events."""
    times = [one.event_time for one in population.tasks]
    first = max(min(times), population.scope.since)
    last = min(max(times), population.scope.until)
    begin = last - NEW_SHARE * (last - first)
    new = {name for name, history in population.intents.items() if _is_new(history, first, begin)}
    return np.array([one.intent in new for one in population.tasks], dtype=float)


def _is_new(history: IntentHistory, first: datetime, begin: datetime) -> bool:
    return history.events < FEW_EVENTS or (history.first > begin and history.first > first)
