"""A comparison as one JSON document with every figure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from streams.evaluation.compare.comparison import RunComparison
from streams.evaluation.compare.diff import ComparedEvent
from streams.evaluation.compare.paired_statistics import difference
from streams.evaluation.compare.preference import Accuracy


def document(made: RunComparison) -> dict[str, Any]:
    """Return the comparison as JSON values: money as exact decimals, unknown as null, differences as B minus A."""
    left_out = {"times", "flips", "answers", "intents", "conclusion"}
    plain = {name: getattr(made, name) for name in made.__slots__ if name not in left_out}
    return (
        asdict(made.conclusion)
        | {name: _plain(value) for name, value in plain.items()}
        | {"answers": accuracy(made.answers), "intents": accuracy(made.intents)}
        | {"flips": [flip(one) for one in made.flips]}
    )


def accuracy(made: Accuracy) -> dict[str, Any]:
    """Return the accuracy by the labels.

    `difference` is over all events, `difference_labelled` over the labelled ones (Tango 1998).
    """
    labelled = made.labelled
    return {
        "events": made.events,
        "differing": made.differing,
        "labelled": labelled.n,
        "labelled_differing": made.apart.n,
        "shares": None if made.shares is None else dict(zip("ab", made.shares, strict=True)),
        "pairs": asdict(labelled),
        "mcnemar_p": made.p_value,
        "difference": asdict(made.difference),
        "difference_labelled": asdict(difference(labelled)) if labelled.n else None,
    }


def flip(one: ComparedEvent) -> dict[str, Any]:
    right = None if one.right is None else dict(zip("ab", one.right, strict=True))
    return {"changes": list(one.changes), "right": right} | asdict(one.pair)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
