"""Measure how far raters agree beyond chance.

Krippendorff's alpha (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability) falls where one verdict dominates,
although raters agree; Gwet's AC1 and AC2 (Gwet 2014, Handbook of Inter-Rater Reliability, 4th edition, chapter 5) do
not. Both allow for cases that only some of the raters judged. 1 is full agreement, 0 what chance alone gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient of agreement, at most 1, with its bootstrap interval; NaN ends where no resample has a value."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of `raters` in `cases` that at least two of them judged.

    A coefficient is None where it cannot be computed; `why_not` then says why. AC2 is AC1 for unordered choices.
    """

    alpha: Coefficient | None
    ac2: Coefficient | None
    raters: int
    cases: int
    why_not: str = ""


def rater_agreement(
    verdicts: Sequence[Mapping[str, str]],
    choices: Sequence[str],
    *,
    ordered: bool = False,
    cases: Sequence[str] = (),
    certainty: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """Return the agreement in `verdicts`: one mapping of rater to choice for each judged item.

    `choices` are all that a rater could choose, from the least to the greatest if they are `ordered`. `cases` names the
    case of each item, where a case has several. The intervals are percentiles over 1,000 resamples of the cases (Zapf,
    Castell, Morawietz, Karch 2016, Measuring inter-rater reliability for nominal data).
    """
    judged = [place for place, one in enumerate(verdicts) if one]
    keys = np.array([cases[place] if cases else str(place) for place in judged])
    counts = np.array([[list(verdicts[place].values()).count(one) for one in choices] for place in judged])
    raters = len({rater for one in verdicts for rater in one})
    shared = len(np.unique(keys[counts.sum(axis=1) > 1])) if judged else 0
    if not shared:
        why_not = "Agreement cannot be computed: no case was judged by two raters."
        return Agreement(None, None, raters, 0, why_not)
    resamples = _resamples(counts, [np.flatnonzero(keys == key) for key in np.unique(keys)], seed)
    alpha = _coefficient(lambda some: krippendorff_alpha(some, ordered=ordered), counts, resamples, certainty)
    ac2 = _coefficient(lambda some: gwet_ac2(some, ordered=ordered), counts, resamples, certainty)
    why_not = "" if alpha else "Alpha cannot be computed: all raters chose the same everywhere."
    if alpha and shared < 2:
        why_not = "The coefficients have no interval: only one case was judged by two raters."
    return Agreement(alpha, ac2, raters, shared, why_not)


def krippendorff_alpha(counts: Counts, *, ordered: bool) -> float | None:
    """Return alpha of `counts` (items, choices), how many raters chose what; None if all chose the same."""
    import krippendorff

    several = counts[counts.sum(axis=1) > 1]
    if (several.sum(axis=0) > 0).sum() < 2:
        return None
    return float(krippendorff.alpha(value_counts=several, level_of_measurement="ordinal" if ordered else "nominal"))


def gwet_ac2(counts: Counts, *, ordered: bool) -> float | None:
    """Return Gwet's AC2 of `counts` (items, choices) with his ordinal weights, or AC1; None without shared items.

    The weight of two choices is 1 - c(distance + 1) / c(choices), where c(n) is the number of pairs among n. Items of
    one rater count in the shares of the choices alone.
    """
    choices = counts.shape[1]
    raters = counts.sum(axis=1)
    if choices < 2 or raters.max() < 2:
        return None
    distance = np.abs(np.subtract.outer(np.arange(choices), np.arange(choices)))
    ordinal = 1 - (distance + 1) * distance / (choices * (choices - 1))
    weights = ordinal if ordered else np.eye(choices)
    shares = (counts / raters[:, np.newaxis]).mean(axis=0)
    several, some = counts[raters > 1], raters[raters > 1]
    agreeing = (several * (several @ weights - 1)).sum(axis=1) / (some * (some - 1))
    chance = weights.sum() * (shares * (1 - shares)).sum() / (choices * (choices - 1))
    return float((agreeing.mean() - chance) / (1 - chance))


def _resamples(counts: Counts, members: Sequence[NDArray[np.int64]], seed: int) -> list[Counts]:
    """Return resamples of the cases with all their items; `members` are the items of each case."""
    if len(members) < 2:
        return []
    random = np.random.default_rng(seed)
    drawn = random.integers(len(members), size=(RESAMPLES, len(members)))
    return [counts[np.concatenate([members[one] for one in some])] for some in drawn.tolist()]


def _coefficient(
    measure: Callable[[Counts], float | None], counts: Counts, resamples: Sequence[Counts], certainty: float
) -> Coefficient | None:
    """Return a coefficient with its interval over the resamples in which it can be computed."""
    value = measure(counts)
    if value is None:
        return None
    found = [one for one in map(measure, resamples) if one is not None]
    if not found:
        return Coefficient(value, np.nan, np.nan)
    low, high = np.quantile(found, [(1 - certainty) / 2, (1 + certainty) / 2]).tolist()
    return Coefficient(value, low, high)
