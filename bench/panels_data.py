"""Recorded outcomes as a stream for panels: which answers are wrong, and what the verifier predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.economy_curves import Floats
from bench.economy_data import SEED, Row, missing_file, read_rows
from bench.economy_product import answered, learn, unanswered
from streams.evaluation.calibrator_choice import choose_calibrator
from streams.panels.estimation.draw import RANDOM_SHARE, draw_cases
from streams.panels.selection import case_weights

MOST = 3000
"""Tasks of a stream; of a larger file so many are drawn, seeded."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """All tasks of a stream, arrays of shape (tasks,).

    `wrong` are the worker's wrong answers, `reasoner_wrong` the reasoner's, `predictions` the chances that the worker
    is wrong, by verifiers that have not seen the task. `random` is the share of all weight that is spread evenly.
    """

    name: str
    wrong: Floats
    reasoner_wrong: Floats
    predictions: Floats
    random: float = RANDOM_SHARE

    @property
    def preferences(self) -> Floats:
        """1 where only the reasoner is right, 0 where only the worker is, 0.5 elsewhere."""
        return 0.5 * (1 + self.wrong - self.reasoner_wrong)

    @property
    def judged(self) -> Floats:
        """The verdict of the reasoner as a judge, who calls an answer wrong unless it is its own right one."""
        return np.maximum(self.wrong, self.reasoner_wrong)

    @property
    def weights(self) -> Floats:
        """The tasks' weights in a draw that prefers uncertain ones, as the product gives them."""
        scores = {"uncertain": np.sqrt(self.predictions * (1 - self.predictions))}
        return case_weights(scores, self.random, len(self.wrong))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Drawn tasks in the order of the draw, with their chances; `judge` has those of the larger draw for a judge."""

    tasks: np.ndarray[tuple[int], np.dtype[np.int64]]
    chances: Floats
    judge: Floats


def read_stream(name: str, file: str, data: Path) -> Stream | str:
    """Return the stream of a file, or why there is none."""
    if missing := missing_file(file, data, data):
        return missing
    rows = read_rows(data / file)
    if len(rows) > MOST:
        kept = np.random.default_rng(SEED).permutation(len(rows))[:MOST]
        rows = [rows[place] for place in sorted(kept.tolist())]
    wrong, reasoner_wrong = (
        np.array([not right for right in some], dtype=np.float64)
        for some in ([row.worker_correct for row in rows], [row.reasoner_correct for row in rows])
    )
    return Stream(name, wrong, reasoner_wrong, _predictions(rows, wrong))


def _predictions(rows: Sequence[Row], wrong: Floats) -> Floats:
    """Return the chances that the worker is wrong, from verifiers and calibrators that have not seen the row."""
    examples = [answered(row) if row.worker_answer else unanswered(row) for row in rows]
    scores = learn(examples, rows, SEED).scores
    half = np.random.default_rng(SEED).permutation(len(rows)) < len(rows) / 2
    predictions = np.empty(len(rows))
    for part in (half, ~half):
        calibrator = choose_calibrator(scores[~part], wrong[~part] == 0, seed=SEED).calibrator
        predictions[part] = 1 - calibrator.many(scores[part])
    return predictions.clip(0.001, 0.999)


def draw_sample(weights: Floats, cases: int, seed: int, judge: int = 0) -> Sample:
    """Draw cases as the product does."""
    drawn = draw_cases(weights, cases, seed, judge)
    return Sample(
        np.array([one.index for one in drawn], dtype=np.int64),
        np.array([one.probability for one in drawn]),
        np.array([one.judge_probability for one in drawn]),
    )
