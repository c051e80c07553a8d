"""A seeded panel on a simulated stream whose true error rates are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import numpy as np

from streams.core.messages import Judgement, PanelAnswer, PanelCase, PanelStratum, Tier
from streams.panels.estimation.draw import Drawn, draw_cases
from streams.panels.evidence import PanelEvidence, evidence_of
from tests.builders import START
from tests.harness.panels import answer, case, panel, said

HANDLERS: tuple[tuple[str, Tier, float], ...] = (
    ("answer", "worker", 0.08), ("extract", "worker", 0.04), ("think", "reasoner", 0.02),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SimulatedTask:
    """One task: its handler, whether the delivered answer is wrong, and the predicted chance of that."""

    handler: str
    tier: Tier
    wrong: bool
    prediction: float


@dataclass
class Simulation:
    """Tasks of three handlers. Predictions are informative; raters err in `noise` of their verdicts.

    One in three tasks has the worker's and the reasoner's answer, of which the reasoner's is the better one in 70 %.
    """

    seed: int = 1
    tasks: int = 2000
    cases: int = 120
    judge: int = 0
    noise: float = 0.03
    judge_noise: float = 0.15
    informed: bool = True
    """False: every prediction is the same."""
    judged: int | None = None
    """The number of cases that people have judged, in the order of the draw; None for all."""
    population: list[SimulatedTask] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.population = [self._task() for _ in range(self.tasks)]

    @property
    def error_rate(self) -> float:
        """The true share of wrong delivered answers."""
        return sum(one.wrong for one in self.population) / self.tasks

    def evidence(self, stop: str = "") -> PanelEvidence:
        """The panel as anna and ben have judged it, with a model's judgements if there are cases for it."""
        weights = np.array([1.0 + 6 * one.prediction for one in self.population])
        drawn = draw_cases(weights, self.cases, self.seed, self.judge)
        cases = [self._case(one) for one in drawn]
        strata = [self._stratum(handler, tier, weights) for handler, tier, _ in HANDLERS]
        made = panel(
            *strata, options=("worker", "reasoner"), cases=self.cases, seed=self.seed, stop=stop,
        )  # fmt: skip
        people = [one for one in cases if one.purpose == "sample"][: self.judged]
        said_by = [one for of in people for name in ("anna", "ben") for one in self._judged(of, name, self.noise)]
        said_by += [one for of in cases if self.judge for one in self._judged(of, "haiku", self.judge_noise)]
        return evidence_of(made, cases, said_by)

    def _task(self) -> SimulatedTask:
        handler, tier, error = self.random.choices(HANDLERS, weights=(6, 3, 1))[0]
        prediction = min(0.95, self.random.betavariate(0.5, 0.5 / error - 0.5))
        return SimulatedTask(handler, tier, self.random.random() < prediction, prediction if self.informed else 0.1)

    def _stratum(self, handler: str, tier: Tier, weights: np.typing.NDArray[np.float64]) -> PanelStratum:
        own = [place for place, one in enumerate(self.population) if one.handler == handler]
        return PanelStratum(
            tier=tier, handler=handler, tasks=len(own), weight=float(weights[own].sum()),
            prediction=sum(self.population[place].prediction for place in own),
        )  # fmt: skip

    def _case(self, drawn: Drawn) -> PanelCase:
        task = self.population[drawn.index]
        return case(
            drawn.position, *self._answers(drawn.index, task), case_id=f"c{drawn.index}", event_id=f"e{drawn.index}",
            purpose="sample" if drawn.position <= self.cases else "judge", weight=drawn.weight,
            probability=drawn.probability, judge_probability=drawn.judge_probability, prediction=task.prediction,
            reasons=("uncertain",) if task.prediction > 0.3 else (), left="worker",
        )  # fmt: skip

    def _answers(self, index: int, task: SimulatedTask) -> Iterator[PanelAnswer]:
        yield answer(task.tier, tier=task.tier, handler=task.handler, call_id=f"call-{index}")
        if task.tier == "worker" and index % 3 == 0:
            yield answer("reasoner", delivered=False, call_id=f"thought-{index}")

    def _judged(self, of: PanelCase, name: str, noise: float) -> Iterator[Judgement]:
        task = self.population[int(of.case_id[1:])]
        kind = "model" if name == "haiku" else "person"
        at = START + timedelta(days=8, minutes=of.position)
        for one in of.answers:
            wrong = task.wrong if one.delivered else not self.random.random() < 0.98
            verdict = "no" if wrong != (self.random.random() < noise) else "yes"
            tone = str(1 + min(2, int(self.random.random() * 2.6)))
            for question, found in (("right", verdict), ("tone", tone)):
                yield said(
                    of.case_id, name, found, question, option=one.option, judge_kind=kind, judged_at=at,
                    seconds=20.0 + 30 * self.random.random(),
                )  # fmt: skip
        if len(of.answers) > 1:
            pick = self.random.choices(("reasoner", "worker", "tie", "both bad"), weights=(60, 20, 15, 5))[0]
            left = "worker" if name == "anna" else "reasoner"
            yield said(of.case_id, name, pick, "better", left=left, judge_kind=kind, judged_at=at)
