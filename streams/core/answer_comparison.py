"""Whether an answer says the same as a label, or as another answer."""

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
"""Compares two values, as JSON gives them."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two values are compared. Equal to a rule's own tolerance is near enough.

    `exact`: as canonical JSON, in which 12 and 12.0 are one number. `numeric`: their numbers differ by `tolerance` at
    most, as a share of the label's size; of a text the last number counts, and where it may mean two numbers, as
    `1,234` does, either will do. `fields`: those alone, each exact or, where both are numbers, numeric.
    """

    by: By = "exact"
    fields: tuple[str, ...] = ()
    tolerance: float = 0.0

    def __call__(self, answer: Any, label: Any) -> bool:
        """Whether `answer` says what `label` says."""
        return _RULES[self.by](self, answer, label)


def value_of(text: str) -> Any:
    """A JSON text's value; any other text is itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _exact(_: Comparison, answer: Any, label: Any) -> bool:
    return same_json(answer, label)


def same_json(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: objects in any order, texts in canonical form, 12 equal to 12.0."""
    try:
        return canonical(_whole(one)) == canonical(_whole(other))
    except (ValueError, RecursionError):  # NaN and the infinities are no JSON; what is too deep is not looked into
        return False


def _whole(value: Any) -> Any:
    """The value with each whole number written as an integer."""
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
    """A label that is no object is compared with the only field there is."""
    if not isinstance(label, Mapping) and len(rule.fields) == 1:
        label = {rule.fields[0]: label}
    if not isinstance(answer, Mapping) or not isinstance(label, Mapping):
        return False
    return all(name in answer and name in label and _alike(rule, answer[name], label[name]) for name in rule.fields)


def _alike(rule: Comparison, answer: Any, label: Any) -> bool:
    return same_json(answer, label) or (_is_number(answer) and _is_number(label) and _numeric(rule, answer, label))


_RULES: dict[By, Callable[[Comparison, Any, Any], bool]] = {"exact": _exact, "numeric": _numeric, "fields": _fields}


def numbers_in(value: Any) -> tuple[float, ...]:
    """The number a value is, or what the last number in a text may mean, the likeliest first; empty without any."""
    if _is_number(value):
        return (float(value),) if math.isfinite(value) else ()
    return readings(value) if isinstance(value, str) else ()


def number_in(value: Any) -> float | None:
    """The likeliest of `numbers_in`; None without any."""
    return next(iter(numbers_in(value)), None)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) < 10**300
