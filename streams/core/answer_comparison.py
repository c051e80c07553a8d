"""Compare an answer with a label, or with another answer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from streams.core.fingerprint import canonical
from streams.core.numerals import readings

By = Literal["exact", "fields", "numeric"]
Agree = Callable[[Any, Any], bool]
"""Compares two JSON values."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A rule for comparing two values. A difference equal to `tolerance` still agrees.

    `exact`: equal as canonical JSON, in which 12 and 12.0 are one number. `numeric`: the numbers differ by at most
    `tolerance`, as a share of the label's size; the last number of a text counts, and if it is ambiguous, like `1,234`,
    either reading may agree. `fields`: compares only these fields, each exact or, where both are numbers, numeric.
    """

    by: By = "exact"
    fields: tuple[str, ...] = ()
    tolerance: float = 0.0

    def __call__(self, answer: Any, label: Any) -> bool:
        return _RULES[self.by](self, answer, label)


def value_of(text: str) -> Any:
    """Parse a JSON text; return any other text unchanged."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _exact(_: Comparison, answer: Any, label: Any) -> bool:
    return same_json(answer, label)


def same_json(one: Any, other: Any) -> bool:
    """True if two values are the same JSON: objects in any order, texts in canonical form, 12 equal to 12.0."""
    try:
        return canonical(_whole(one)) == canonical(_whole(other))
    except (ValueError, RecursionError):  # NaN, an infinity, or a value that is nested too deeply
        return False


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole(item) for item in value]
    return value


def _numeric(rule: Comparison, answer: Any, label: Any) -> bool:
    said, true = numbers_in(answer), numbers_in(label)
    return any(abs(one - other) <= rule.tolerance * abs(other) for one in said for other in true)


def _fields(rule: Comparison, answer: Any, label: Any) -> bool:
    """Compare fields. A label that is not an object is compared with the rule's only field."""
    if not isinstance(label, Mapping) and len(rule.fields) == 1:
        label = {rule.fields[0]: label}
    if not isinstance(answer, Mapping) or not isinstance(label, Mapping):
        return False
    return all(name in answer and name in label and _alike(rule, answer[name], label[name]) for name in rule.fields)


def _alike(rule: Comparison, answer: Any, label: Any) -> bool:
    return same_json(answer, label) or (_is_number(answer) and _is_number(label) and _numeric(rule, answer, label))


_RULES: dict[By, Callable[[Comparison, Any, Any], bool]] = {"exact": _exact, "numeric": _numeric, "fields": _fields}


def numbers_in(value: Any) -> tuple[float, ...]:
    """Return a number itself, or the possible values of the last number in a text, the likeliest first."""
    if _is_number(value):
        return (float(value),) if math.isfinite(value) else ()
    return readings(value) if isinstance(value, str) else ()


def number_in(value: Any) -> float | None:
    return next(iter(numbers_in(value)), None)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) < 10**300
