"""Draw a panel's cases: the same audit, seed and settings give the same cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.core.fingerprint import digest
from streams.core.messages import CasePurpose, PanelCase, PanelStratum, Tier
from streams.panels.estimation.draw import LEAST_WEIGHT, RANDOM_SHARE, Drawn, draw_cases
from streams.panels.population import Population, PopulationTask
from streams.panels.reasons import predictions, reason_scores

STANDS_OUT: Final = 1.5
"""A task has a reason if its score is more than so many times the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawSettings:
    """`count` cases are drawn for people and then `judge_count` for a model alone.

    `random` is the share of all weight that is spread evenly over all tasks, above 0 and at most 1.
    """

    panel: str
    count: int
    judge_count: int = 0
    seed: int
    random: float = RANDOM_SHARE
    created_at: datetime

    def generator(self, purpose: str) -> np.random.Generator:
        """Return the random numbers for one purpose beside the draw; they depend on the seed and the purpose alone."""
        return np.random.default_rng([self.seed, *purpose.encode()])


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSelection:
    """The drawn cases in the order of the draw, and all that they stand for."""

    cases: tuple[PanelCase, ...]
    strata: tuple[PanelStratum, ...]
    reasons: Mapping[str, int]
    """The number of tasks in the population that have each reason."""

    @property
    def sample(self) -> tuple[PanelCase, ...]:
        """The people's cases."""
        return tuple(case for case in self.cases if case.purpose == "sample")


def select_cases(population: Population, settings: DrawSettings) -> CaseSelection:
    """Draw cases by successive weighted sampling. Raises ConfigError if `random` is not a share above 0.

    The weights are those of `case_weights`; `draw_cases` gives the probabilities.
    """
    if not 0 < settings.random <= 1:
        what = f"{settings.random:g} is not a share above 0 and up to 1."
        raise ConfigError(what, "Every task must have a chance to be drawn; write for example 0.5.", "random")
    scores, expected = reason_scores(population), predictions(population.tasks)
    weights = case_weights(scores, settings.random, len(population.tasks))
    drawn = draw_cases(weights, settings.count, settings.seed, settings.judge_count)
    has = {name: score > STANDS_OUT * score.mean() for name, score in scores.items()}
    tasks = [population.tasks[one.index] for one in drawn]
    lefts = balanced_lefts(tasks, settings.generator("sides"))
    cases = tuple(
        replace(
            _case(one, task, settings, left),
            prediction=float(expected[one.index]),
            reasons=tuple(name for name, marked in has.items() if marked[one.index]),
        )
        for one, task, left in zip(drawn, tasks, lefts, strict=True)
    )
    return CaseSelection(
        cases=cases,
        strata=_strata(population.tasks, weights, expected),
        reasons={name: int(marked.sum()) for name, marked in has.items() if marked.any()},
    )


def case_weights(scores: Mapping[str, NDArray[np.float64]], random: float, tasks: int) -> NDArray[np.float64]:
    """Return the tasks' weights, shape (N,): 1 for each, which is the share `random` of all weight, and the rest.

    The rest goes to the reasons in equal parts. Each part is spread over the tasks in proportion to their score.
    Without reasons all weights are 1.
    """
    ones = np.full(tasks, LEAST_WEIGHT)
    if not scores:
        return ones
    by_reason: NDArray[np.float64] = np.mean([score / score.sum() for score in scores.values()], axis=0)
    return ones + LEAST_WEIGHT * tasks * (1 - random) / random * by_reason


def balanced_lefts(tasks: Sequence[PopulationTask], random: np.random.Generator) -> list[str]:
    """Return for each case the option on the left; empty for a case with one answer.

    Of each two successive cases with two answers, one has the first option on the left and the other the second, in
    random order, so that sides are balanced wherever a panel stops.
    """
    coins = random.integers(2, size=len(tasks)).tolist()
    found: list[str] = []
    pairs = 0
    for task in tasks:
        two = len(task.answers) == 2
        found.append(task.answers[coins[pairs // 2] ^ pairs % 2].option if two else "")
        pairs += two
    return found


def case_id(settings: DrawSettings, purpose: CasePurpose, run: str, event_id: str) -> str:
    """Return a case's id. The seed in it keeps raters from computing a case's purpose out of its id."""
    return digest("case", settings.panel, settings.seed, purpose, run, event_id)


def case_of_task(
    task: PopulationTask, settings: DrawSettings, purpose: CasePurpose, left: str, position: int = 0
) -> PanelCase:
    """Return a task as a case; its content's digest is still empty."""
    return PanelCase(
        panel=settings.panel,
        case_id=case_id(settings, purpose, task.answers[0].run, task.event_id),
        event_id=task.event_id,
        run=task.answers[0].run,
        event_time=task.event_time,
        task=task.task,
        purpose=purpose,
        answers=task.answers,
        left=left,
        position=position,
        content_digest="",
        created_at=settings.created_at,
    )


def _case(drawn: Drawn, task: PopulationTask, settings: DrawSettings, left: str) -> PanelCase:
    purpose: CasePurpose = "sample" if drawn.position <= settings.count else "judge"
    case = case_of_task(task, settings, purpose, left, drawn.position)
    return replace(case, weight=drawn.weight, probability=drawn.probability, judge_probability=drawn.judge_probability)


def _strata(
    tasks: Sequence[PopulationTask], weights: NDArray[np.float64], expected: NDArray[np.float64]
) -> tuple[PanelStratum, ...]:
    """Return the sums of weights and predictions by the handler of the delivered answer."""
    found: dict[tuple[Tier, str], list[int]] = defaultdict(list)
    for place, task in enumerate(tasks):
        found[task.tier, task.handler].append(place)
    return tuple(
        PanelStratum(
            tier=tier,
            handler=handler,
            tasks=len(places),
            weight=float(weights[places].sum()),
            prediction=float(expected[places].sum()),
        )
        for (tier, handler), places in sorted(found.items())
    )
