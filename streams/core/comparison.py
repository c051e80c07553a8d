"""Whether an answer says the same as a label, or as another answer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from streams.core.fingerprint import canonical

By = Literal["exact", "fields", "numeric"]
Agree = Callable[[Any, Any], bool]
"""Compares two values, as JSON gives them."""

# A sign, digits (in groups of three, or not) and a fraction or either, an exponent.
_NUMBER = re.compile(r"(?:(?<!\d)[-+−])?(?:(?:\d{1,3}(?:,\d{3}(?!\d))+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")
_MAX_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two values are compared. Equal to a rule's own tolerance is near enough.

    `exact`: as canonical JSON. `numeric`: their numbers differ by `tolerance` at most, as a share of the label's
    size; of a text the last number counts. `fields`: those alone, each exact or, where both are numbers, numeric.
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
    try:
        return canonical(answer) == canonical(label)
    except (ValueError, RecursionError):  # NaN and the infinities are no JSON; what is too deep is not looked into
        return False


def _numeric(rule: Comparison, answer: Any, label: Any) -> bool:
    said, true = number_in(answer), number_in(label)
    return said is not None and true is not None and abs(said - true) <= rule.tolerance * abs(true)


def _fields(rule: Comparison, answer: Any, label: Any) -> bool:
    """A label that is no object is compared with the only field there is."""
    if not isinstance(label, Mapping) and len(rule.fields) == 1:
        label = {rule.fields[0]: label}
    if not isinstance(answer, Mapping) or not isinstance(label, Mapping):
        return False
    return all(name in answer and name in label and _alike(rule, answer[name], label[name]) for name in rule.fields)


def _alike(rule: Comparison, answer: Any, label: Any) -> bool:
    return _exact(rule, answer, label) or (_is_number(answer) and _is_number(label) and _numeric(rule, answer, label))


_RULES: dict[By, Callable[[Comparison, Any, Any], bool]] = {"exact": _exact, "numeric": _numeric, "fields": _fields}


def number_in(value: Any) -> float | None:
    """The number a value is, or the last number in a text; None where there is none or it is not finite."""
    if _is_number(value):
        number = float(value)
    elif isinstance(value, str):
        found = _NUMBER.findall(value[-_MAX_TEXT:])
        if not found:
            return None
        number = float(found[-1].replace(",", "").replace("−", "-"))
    else:
        return None
    return number if math.isfinite(number) else None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, float) or abs(value) < 10**300
