"""Figures over seeded panels of one stream: what their intervals cover, and how many cases they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.stats import binom, norm  # type: ignore[import-untyped]

from bench.economy_curves import Floats
from bench.panels_data import Sample, Stream, draw_sample
from streams.panels.estimation.rates import (
    JudgedCases,
    RateInterval,
    two_phase_rate,
    weighted_rate,
    weighted_ratio,
)
from streams.panels.estimation.sequential import Moment, sequential_bounds

PLAIN_CASES = (50, 100, 200)
"""Sizes of the plain random samples that the predictions are compared with."""
WIDTH_PANELS = 200
JUDGE_FACTOR = 4
MATTERS = 0.1
"""The smallest difference that a fixed sample is planned to find: ten points of error; a win rate then differs by 5."""
POWER, RISK = 0.8, 0.05
STOP_PANELS = 200
RANDOM_SHARES = (0.3, 0.5, 0.7, 1.0)


@dataclass(frozen=True, slots=True)
class Covered:
    """The shares of panels whose interval held the truth; of `at_every_moment`, at each of its cases."""

    cases: int
    panels: int
    reweighted: float
    at_every_moment: float
    naive: float


@dataclass(frozen=True, slots=True)
class Needed:
    """The people's cases that give the mean width of a plain random sample of `plain` cases."""

    plain: int
    width: float
    with_predictions: int
    with_judge: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The cases until a claim was decided, which it always was, and those of a fixed plain sample.

    `gap` is the distance of the true rate from the claim's limit. The fixed sample is planned to decide with the chance
    POWER if the difference is MATTERS; `power` is its chance at the true one.
    """

    claim: str
    gap: float
    fixed: int
    power: float
    mean: float
    median: float


@dataclass(frozen=True, slots=True)
class RandomShare:
    """The effect of the share of all weight that is spread evenly.

    `as_plain` are the people's cases as narrow as 100 plain ones, `stop` those until the worker's error is shown to be
    below a limit ten points above it, and `without_error` those until a stream of right answers shows at most 5 %.
    """

    share: float
    as_plain: int
    stop: float
    without_error: float


def measure_coverage(stream: Stream, cases: int, panels: int) -> Covered:
    """Return the shares that were covered. The naive interval takes the most doubtful cases of a random half first."""
    truth, weights = float(stream.wrong.mean()), stream.weights
    reweighted = moments = naive = 0
    for seed in range(panels):
        sample = draw_sample(weights, cases, seed)
        reweighted += _holds(people_rate(stream, sample), truth)
        moments += all(_holds(one, truth) for one in bounds(stream, sample, stream.wrong, 0.95))
        half = np.random.default_rng(seed).permutation(len(stream.wrong))[: len(stream.wrong) // 2]
        first = half[np.argsort(-stream.predictions[half], kind="stable")][:cases]
        naive += _holds(weighted_ratio(stream.wrong[first], np.full(cases, cases / len(stream.wrong))), truth)
    return Covered(cases, panels, reweighted / panels, moments / panels, naive / panels)


def measure_needed(stream: Stream) -> Iterator[Needed]:
    """Yield the cases needed beside those of each plain random sample without predictor that fits the stream."""
    for cases in PLAIN_CASES:
        width = _mean_width(lambda seed, n: plain_rate(stream, n, seed), cases)
        predicted = _fewest(partial(_people_rate, stream), width, cases)
        judged = _fewest(lambda seed, n: judged_rate(stream, n, seed), width, cases)
        yield Needed(cases, width, predicted, judged)


def measure_stops(stream: Stream) -> Iterator[Stopped]:
    """Yield the cases until claims were decided: of clear differences, and of just the one that was planned for."""
    rate, reasoner = float(stream.wrong.mean()), float(stream.reasoner_wrong.mean())
    for limit in (rate + 2 * MATTERS, rate + MATTERS):
        limit = round(limit, 2)
        yield _stopped(f"the worker's error <= {limit:g}", stream.wrong, limit, stream)
    limit = round(reasoner + 2 * MATTERS, 2)
    yield _stopped(f"the reasoner's error <= {limit:g}", stream.reasoner_wrong, limit, stream)
    yield _stopped("reasoner better than worker", 1 - stream.preferences, 0.5, stream)


def measure_shares(stream: Stream) -> Iterator[RandomShare]:
    """Yield the figures for several random shares."""
    width = _mean_width(lambda seed, cases: plain_rate(stream, cases, seed), 100)
    limit = round(float(stream.wrong.mean()) + MATTERS, 2)
    for share in RANDOM_SHARES:
        one = replace(stream, random=share)
        as_plain = _fewest(partial(_people_rate, one), width, 100)
        stop = float(np.mean([_decided(stream.wrong, limit, one, seed) for seed in range(STOP_PANELS)]))
        right = [_decided(np.zeros(len(stream.wrong)), RISK, one, seed) for seed in range(10)]
        yield RandomShare(share, as_plain, stop, float(np.mean(right)))


def plain_rate(stream: Stream, cases: int, seed: int) -> RateInterval:
    """Return the rate of wrong answers in a plain random sample."""
    sample = draw_sample(np.ones(len(stream.wrong)), cases, seed)
    return weighted_ratio(stream.wrong[sample.tasks], sample.chances)


def people_rate(stream: Stream, sample: Sample) -> RateInterval:
    """Return the reweighted rate of wrong answers with the verifier as predictor."""
    return weighted_rate(
        stream.wrong[sample.tasks],
        sample.chances,
        stream.predictions[sample.tasks],
        tasks=len(stream.wrong),
        predicted=float(stream.predictions.sum()),
    )


def judged_rate(stream: Stream, cases: int, seed: int) -> RateInterval:
    """Return the rate with a judge that says its verdict on the people's cases and further ones as well."""
    more = min(JUDGE_FACTOR * cases, len(stream.wrong) - cases)
    all_drawn = draw_sample(stream.weights, cases, seed, more)
    tasks = all_drawn.tasks[:cases]
    return two_phase_rate(
        stream.wrong[tasks],
        all_drawn.chances[:cases],
        stream.predictions[tasks],
        stream.judged[tasks],
        all_drawn.judge[:cases],
        JudgedCases(stream.judged[all_drawn.tasks], stream.predictions[all_drawn.tasks], all_drawn.judge),
        tasks=len(stream.wrong),
        predicted=float(stream.predictions.sum()),
    )


def bounds(stream: Stream, sample: Sample, values: Floats, certainty: float) -> list[Moment]:
    """Return the bounds of the mean of `values` (tasks,) at every moment; the predictions are of wrong answers."""
    weights = stream.weights
    predictions = stream.predictions if values is stream.wrong else np.zeros(len(weights))
    return sequential_bounds(
        values[sample.tasks],
        weights[sample.tasks],
        predictions[sample.tasks],
        tasks=len(weights),
        weight=float(weights.sum()),
        predicted=float(predictions.sum()),
        certainty=certainty,
    )


def planned_cases(limit: float, supposed: float) -> tuple[int, int]:
    """Return the least fixed sample that shows a rate below `limit` with POWER if it is `supposed`, and its errors.

    By the exact one-sided binomial test at RISK.
    """
    for cases in range(5, 100_000):
        errors = int(binom.ppf(RISK, cases, limit))
        errors -= binom.cdf(errors, cases, limit) > RISK
        if errors >= 0 and binom.cdf(errors, cases, supposed) >= POWER:
            return cases, errors
    raise AssertionError("no size is enough")


def _stopped(claim: str, values: Floats, limit: float, stream: Stream) -> Stopped:
    ends = [_decided(values, limit, stream, seed) for seed in range(STOP_PANELS)]
    fixed, power = _fixed(values, limit)
    gap = limit - float(values.mean())
    return Stopped(claim, gap, fixed, power, float(np.mean(ends)), float(np.median(ends)))


def _decided(values: Floats, limit: float, stream: Stream, seed: int) -> int:
    """Return the number of the case after which the upper bound was at most `limit`."""
    for cases in (min(300, len(values)), len(values)):
        found = bounds(stream, draw_sample(stream.weights, cases, seed), values, 1 - 2 * RISK)
        decided = next((one.cases for one in found if one.high <= limit), None)
        if decided is not None:
            return decided
    raise AssertionError(f"all tasks are known, and their rate is above {limit}")


def _fixed(values: Floats, limit: float) -> tuple[int, float]:
    """Return the size of the fixed sample, and its power at the true rate of `values`."""
    truth, shares = float(values.mean()), set(np.unique(values).tolist())
    if shares <= {0.0, 1.0}:
        fixed, errors = planned_cases(limit, limit - MATTERS)
        return fixed, float(binom.cdf(errors, fixed, truth))
    spread = float(values.std())  # that of the differences, known from a pilot study
    reach = float(norm.ppf(1 - RISK) + norm.ppf(POWER))
    fixed = math.ceil((reach * spread / (MATTERS / 2)) ** 2)
    return fixed, float(norm.cdf((limit - truth) * math.sqrt(fixed) / spread - norm.ppf(1 - RISK)))


def _people_rate(stream: Stream, seed: int, cases: int) -> RateInterval:
    return people_rate(stream, draw_sample(stream.weights, cases, seed))


def _holds(found: RateInterval | Moment, truth: float) -> bool:
    return found.low - 1e-9 <= truth <= found.high + 1e-9


def _mean_width(rate: Callable[[int, int], RateInterval], cases: int) -> float:
    return float(np.mean([rate(seed, cases).width for seed in range(WIDTH_PANELS)]))


def _fewest(rate: Callable[[int, int], RateInterval], width: float, most: int) -> int:
    """Return the fewest cases, up to `most`, whose mean width is at most `width`, by bisection."""
    low, high = 2, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _mean_width(rate, middle) <= width else (middle + 1, high)
    return low
