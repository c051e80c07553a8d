"""The verifier: the probability that a worker's answer is right, and the gain of asking the reasoner.

An artifact is data: an uncompressed npz of plain arrays with a JSON header inside, and no pickles. The same verifier
always gives the same bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streams.core.errors import ConfigError
from streams.models.listeners.classifier import Provenance
from streams.models.listeners.saved import BROKEN, SavedArtifact, check_uncompressed
from streams.models.verifier.ensemble import Ensemble, Mixture
from streams.models.verifier.example import Example
from streams.models.verifier.features import Category, Layout

FORMAT = "escalon-verifier"
VERSION = 2
_REMEDY = "Train the verifier again with `escalon train verifier`."

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrainingShare:
    """The cases used for training, drawn by their tasks: the share `share` under the salt `salt`."""

    salt: str
    share: float


@dataclass(frozen=True, eq=False)
class Verifier(SavedArtifact):
    """Features of `layout`, then the rates of its categories, into `ensemble`, whose views `mixture` joins.

    `rates` has one array (values + 1, heads) for each category: the smoothed share of right answers among the
    training rows with that value, the last row for a value not seen. The first head is the worker, the second,
    which may be missing, the reasoner. `columns` are the names of the features in training: an artifact made
    for other features is refused. Not changed by use, so threads may share it.
    """

    layout: Layout
    columns: tuple[str, ...]
    rates: tuple[Floats, ...]
    ensemble: Ensemble
    mixture: Mixture
    provenance: Provenance
    aside: TrainingShare | None = None
    """None: no cases were set aside for calibration."""

    def __post_init__(self) -> None:
        heads = self.ensemble.heads
        if self.columns != self.layout.columns:
            raise ConfigError("The verifier was trained on other features than this release has.", _REMEDY)
        expected = [(len(category.values) + 1, heads) for category in self.layout.categories]
        width = len(self.columns) + heads * len(expected)
        parts = (len(self.mixture.slopes), len(self.mixture.offsets))
        if [r.shape for r in self.rates] != expected or self.ensemble.width != width or parts != (heads, heads):
            raise ConfigError("The parts of the verifier do not fit each other.", _REMEDY)
        if heads not in (1, 2) or not all(np.isfinite(rate).all() for rate in self.rates):
            raise ConfigError("The verifier holds a number it should not.", _REMEDY)

    @property
    def knows_reasoner(self) -> bool:
        """True when the reasoner's outcomes were part of the training."""
        return self.ensemble.heads == 2

    def scores(self, examples: Sequence[Example]) -> Floats:
        """Return P(the worker's answer is right) of shape (n,); before an answer, P(it would be)."""
        return self._probabilities(examples)[:, 0]

    def gains(self, examples: Sequence[Example]) -> Floats:
        """Return the expected gain of asking the reasoner, of shape (n,), from -1 to 1.

        P(reasoner right) - P(worker right); when the reasoner's outcomes are unknown, 1 - P(worker right), as if the
        reasoner were always right.
        """
        probabilities = self._probabilities(examples)
        gained: Floats = (probabilities[:, 1] if self.knows_reasoner else 1.0) - probabilities[:, 0]
        return gained

    def keeps(self, examples: Sequence[Example]) -> Floats:
        """Return the value of not asking the reasoner, of shape (n,), from 0 to 1: (1 - gain) / 2.

        Sorted by this, the cases that gain most from the reasoner come first, right or wrong: a case that the reasoner
        gets wrong as well gains nothing. For a verifier that does not know the reasoner it is P / 2.
        """
        return (1.0 - self.gains(examples)) / 2.0

    def _probabilities(self, examples: Sequence[Example]) -> Floats:
        codes = self.layout.codes(examples)
        rates = [rate[codes[:, place]] for place, rate in enumerate(self.rates)]
        return self.mixture.apply(*self.ensemble.views(np.hstack([self.layout.matrix(examples), *rates])))

    def to_bytes(self) -> bytes:
        header = json.dumps(self._header(), sort_keys=True).encode()
        rates = {f"rates_{place}": rate.astype("<f8") for place, rate in enumerate(self.rates)}
        buffer = io.BytesIO()
        np.savez(buffer, header=np.frombuffer(header, dtype=np.uint8), **rates, **self.ensemble.arrays())  # type: ignore[arg-type]
        return buffer.getvalue()

    def _header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "layout": asdict(self.layout),
            "columns": self.columns,
            "mixture": asdict(self.mixture),
            "training_set": self.provenance.training_set,
            "date": self.provenance.date,
            "metrics": dict(self.provenance.metrics),
            "aside": self.aside and asdict(self.aside),
        }

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an artifact.

        Raises ConfigError when the file is missing, broken, of another version or made for other features.
        """
        try:
            return cls.from_bytes(path.read_bytes(), str(path))
        except FileNotFoundError as error:
            remedy = "Make one with `escalon train verifier`."
            raise ConfigError(f"There is no verifier at {path}.", remedy) from error
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror}).", "Check the path.") from error

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Self:
        """Read an artifact's bytes; `name` says in errors where they come from. Raises ConfigError as `load` does."""
        try:
            check_uncompressed(data)
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                header = json.loads(arrays["header"].tobytes())
                _check_version(name, header)
                return cls._from_parts(header, arrays)
        except BROKEN as error:
            what = f"{name} is not a readable verifier ({type(error).__name__}: {error})."
            raise ConfigError(what, _REMEDY) from error

    @classmethod
    def _from_parts(cls, header: Mapping[str, Any], arrays: Any) -> Self:
        layout, mixture = header["layout"], header["mixture"]
        categories = tuple(Category(found["key"], tuple(found["values"])) for found in layout["categories"])
        return cls(
            Layout(tuple(layout["sources"]), tuple(layout["fields"]), categories),
            tuple(header["columns"]),
            tuple(arrays[f"rates_{place}"] for place in range(len(categories))),
            Ensemble.from_arrays(arrays),
            Mixture(float(mixture["share"]), tuple(mixture["slopes"]), tuple(mixture["offsets"])),
            Provenance(header["training_set"], header["date"], header["metrics"]),
            header["aside"] and TrainingShare(str(header["aside"]["salt"]), float(header["aside"]["share"])),
        )


def _check_version(name: str, header: Mapping[str, Any]) -> None:
    if header["format"] != FORMAT or header["version"] != VERSION:
        raise ConfigError(
            f"{name} is {header['format']} version {header['version']}, this release reads {FORMAT} {VERSION}.", _REMEDY
        )
