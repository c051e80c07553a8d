"""The trained router: from the event alone to the handler that will answer it well, at the least cost.

It holds one judge for each worker, trained to predict from the event whether that worker answers well, and one for
"none of these". A judge is a verifier or a text verifier: the one that predicted better. An artifact is data: a zip
file of the judges and a JSON header, without pickles.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.core.routing import NONE
from streams.models.listeners.classifier import Classifier
from streams.models.listeners.saved import BROKEN, SavedArtifact, check_uncompressed
from streams.models.listeners.text_verifier import TextVerifier
from streams.models.verifier.artifact import Verifier
from streams.models.verifier.example import Example

FORMAT, VERSION = "escalon-router", 1
NONE_FROM = 0.5
"""Probability from which on an event is none of these."""
_HEADER = "header.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Judge(Protocol):
    """Predicts from a task alone whether it will be answered well."""

    def scores(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return the probabilities, of shape (n,)."""
        ...

    def keeps(self, examples: Sequence[Example]) -> NDArray[np.float64]:
        """Return the value of asking the worker and not the reasoner, of shape (n,), from 0 to 1."""
        ...

    def to_bytes(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Routing:
    """The route found, the probability that it is a good one, and each candidate's score, 0 to 1."""

    label: str
    confidence: float
    scores: Mapping[str, float]


def worth(target: str, judge: Judge, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Return each example's score for a target, of shape (n,): for `none` its probability, for a worker Judge.keeps."""
    return judge.scores(examples) if target == NONE else judge.keeps(examples)


READERS: Mapping[str, Callable[[bytes, str], Judge]] = {
    "Verifier": Verifier.from_bytes,
    "TextVerifier": lambda data, name: TextVerifier(Classifier.from_bytes(data, name)),
}


@dataclass(frozen=True, eq=False)
class Router(SavedArtifact):
    """`judges` by route: `workers.NAME`, and `none` where there were such events. `reasoner` is `reasoners.NAME`.

    A worker's score is the value of asking it and not the reasoner (Judge.keeps). The best worker is taken if its score
    reaches `threshold`, else the reasoner. `comparison` holds the figures on held-out cases that decided the router's
    admission.
    """

    judges: Mapping[str, Judge]
    reasoner: str
    threshold: float
    admitted: bool
    comparison: Mapping[str, Any]
    date: str

    def route(self, text: str, data: Mapping[str, Any]) -> Routing:
        example = [Example(text=text, data=data, answer=None)]
        scores = {target: float(worth(target, one, example)[0]) for target, one in self.judges.items()}
        if scores.get(NONE, 0.0) >= NONE_FROM:
            return Routing(NONE, scores[NONE], scores)
        workers = {target: score for target, score in scores.items() if target != NONE}
        best = max(workers, key=lambda target: workers[target])
        probable = float(self.judges[best].scores(example)[0])
        if workers[best] >= self.threshold:
            return Routing(best, probable, scores)
        return Routing(self.reasoner, 1 - probable, scores)

    def to_bytes(self) -> bytes:
        """Return the artifact; the same router always gives the same bytes."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo(_HEADER, _EPOCH), json.dumps(self._header(), sort_keys=True))
            for target, judge in sorted(self.judges.items()):
                archive.writestr(zipfile.ZipInfo(f"{target}.npz", _EPOCH), judge.to_bytes())
        return buffer.getvalue()

    def _header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "targets": {target: type(judge).__name__ for target, judge in sorted(self.judges.items())},
            "reasoner": self.reasoner,
            "threshold": self.threshold,
            "admitted": self.admitted,
            "comparison": dict(self.comparison),
            "date": self.date,
        }

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an artifact. Raises ConfigError when it is missing, broken, or was not admitted on held-out cases."""
        try:
            data = path.read_bytes()
            check_uncompressed(data)
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                header = json.loads(archive.read(_HEADER))
                if (header["format"], header["version"]) != (FORMAT, VERSION):
                    raise ValueError(f"{header['format']} version {header['version']}")
                judges = {
                    target: READERS[kind](archive.read(f"{target}.npz"), f"{path}/{target}")
                    for target, kind in header["targets"].items()
                }
            made = cls._from_header(header, judges)
        except FileNotFoundError as error:
            raise ConfigError(f"There is no router at {path}.", "Make one with `escalon train router`.") from error
        except (OSError, *BROKEN) as error:
            what = f"{path} is not a readable router ({type(error).__name__}: {error})."
            raise ConfigError(what, "Make it again with `escalon train router`.") from error
        if not made.admitted:
            what = f"{path} did no better than the table on held-out cases."
            raise ConfigError(what, "Train it on more cases, or again with --force.")
        return made

    @classmethod
    def _from_header(cls, header: Mapping[str, Any], judges: Mapping[str, Judge]) -> Self:
        if not judges.keys() - {NONE}:
            raise ValueError("it knows no worker")
        return cls(
            judges,
            str(header["reasoner"]),
            float(header["threshold"]),
            header["admitted"] is True,
            dict(header["comparison"]),
            str(header["date"]),
        )
