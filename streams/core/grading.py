"""Grade an answer by a label, where that is possible at all."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from streams.core.answer_comparison import Agree, Comparison, number_in, value_of
from streams.core.redaction.detectors import BUILT_IN

Grade = Literal["right", "wrong", "hidden", "misfit"]
"""`hidden`: redaction removed a part that decides. `misfit`: the label cannot be an answer of this handler."""
_STRUCTURAL: Final = frozenset({"type", "required", "additionalProperties", "unevaluatedProperties"})
"""Keywords of a JSON schema that constrain the shape of a value, not its content."""
_FAILED: Final = "redaction failed"
PLAIN: Final = "a plain value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Markers:
    """The marks that redaction may have left in a text: names of detectors in brackets."""

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, names: Iterable[str] = (), *, any_name: bool = False) -> Markers:
        """Return the markers of the built-in detectors and of `names`.

        With `any_name` every lower-case name in brackets is one, for a function that hides under names of its own.
        """
        known = [re.escape(name) for name in sorted({*BUILT_IN, *names, _FAILED})]
        return cls(
            pattern=re.compile(rf"\[(?:{'|'.join([*known, '[a-z][a-z0-9_ -]{1,63}'] if any_name else known)})\]")
        )

    def hide(self, *values: Any) -> bool:
        return any(self.pattern.search(text) for value in values for text in _texts(value))


USUAL_MARKERS: Final = Markers.of()


class SchemaFault(Protocol):
    """The part of jsonschema.ValidationError that is read here."""

    validator: str
    message: str
    json_path: str
    context: Sequence[SchemaFault]
    relative_schema_path: Sequence[Any]


class SchemaValidator(Protocol):
    """The part of a jsonschema validator that is used here."""

    schema: Mapping[str, Any] | bool

    def iter_errors(self, instance: Any) -> Iterable[SchemaFault]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """Compares the answers of one handler with labels.

    `schema` validates its answers; None if their shape is unknown. `plain` means that answers are text, so a label
    that is an object or a list cannot fit.
    """

    agree: Agree
    schema: SchemaValidator | None = None
    plain: bool = False
    markers: Markers = USUAL_MARKERS

    def __call__(self, answer: str, label: str) -> Grade:
        said, readings = value_of(answer), _readings(label)
        if any(self.markers.hide(*self._compared(said, one)) for one in readings[:1]):
            return "hidden"
        if any(self.agree(said, one) for one in readings):
            return "right"
        return "misfit" if all(self._fault(said, one) for one in readings) else "wrong"

    def fault(self, answer: str, label: str) -> str:
        """Explain why a label cannot be an answer of the handler; empty if it can."""
        faults = [self._fault(value_of(answer), one) for one in _readings(label)]
        return faults[0] if all(faults) else ""

    def label_fault(self, label: str) -> str:
        """Explain why no answer of the handler could agree with a label; empty if one could, or if that is unknown."""
        faults = [self._label_fault(one) for one in _readings(label)]
        return faults[0] if all(faults) else ""

    def _label_fault(self, label: Any) -> str:
        if not isinstance(self.agree, Comparison):
            return ""  # a function may compare anything
        if self.agree.by == "numeric":
            return _no_number_in(label)
        if self.agree.by == "fields":
            return _lacks_fields(self.agree.fields, label)
        if self.schema is None:
            return f"it is {_kind(label)}, and answers are text" if self.plain and _kind(label) != PLAIN else ""
        return self._no_answer({}, label)

    def _compared(self, *values: Any) -> Iterator[Any]:
        named = isinstance(self.agree, Comparison) and self.agree.by == "fields"
        names = self.agree.fields if isinstance(self.agree, Comparison) else ()
        for value in values:
            yield [value.get(name) for name in names] if named and isinstance(value, Mapping) else value

    def _fault(self, answer: Any, label: Any) -> str:
        if not isinstance(self.agree, Comparison):
            return ""  # a function may compare anything
        if self.agree.by == "numeric":
            return _no_number(answer, label)
        if self.agree.by == "fields":
            return _no_fields(self.agree.fields, answer, label)
        return self._no_answer(answer, label)

    def _no_answer(self, answer: Any, label: Any) -> str:
        if self.schema is None:
            return _no_likeness(answer, label, plain=self.plain)
        named = self.schema.schema.get("properties") if isinstance(self.schema.schema, Mapping) else None
        if named and isinstance(answer, Mapping) and isinstance(label, Mapping):
            odd = next((name for name in label if name not in named and name not in answer), None)
            if odd is not None:
                return f"there is no field {odd!r}{_nearest(odd, named)}"
        return next(map(_words, filter(_structural, _errors(self.schema, label))), "")


def _readings(label: str) -> list[Any]:
    """Return a label's JSON value and, unless that is a text, an object or a list, also its text."""
    value = value_of(label)
    return [value] if isinstance(value, (str, dict, list)) else [value, label]


def _no_likeness(answer: Any, label: Any, *, plain: bool) -> str:
    """Explain why a label cannot be an answer whose schema is unknown. Text may have any form."""
    if _kind(answer) != _kind(label) and not (plain and _kind(label) == PLAIN):
        return f"it is {_kind(label)}, the answer is {_kind(answer)}"
    objects = isinstance(answer, Mapping) and isinstance(label, Mapping)
    if objects and answer and label and not answer.keys() & label.keys():
        return f"it has none of the answer's fields ({', '.join(map(str, answer))})"
    return ""


def _no_number(answer: Any, label: Any) -> str:
    return _no_number_in(label) or ("" if _kind(answer) == PLAIN else f"it is a number, the answer is {_kind(answer)}")


def _no_number_in(label: Any) -> str:
    return "there is no number in it" if number_in(label) is None else ""


def _no_fields(names: tuple[str, ...], answer: Any, label: Any) -> str:
    if not isinstance(answer, Mapping):
        return f"fields are to be compared, and the answer is {_kind(answer)}"
    return _lacks_fields(names, label)


def _lacks_fields(names: tuple[str, ...], label: Any) -> str:
    if not isinstance(label, Mapping):
        return "" if len(names) == 1 else f"it is {_kind(label)}, not an object with {', '.join(names)}"
    missing = next((name for name in names if name not in label), None)
    return "" if missing is None else f"the label has no field {missing!r}{_nearest(missing, label)}"


def _nearest(name: str, others: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [str(one) for one in others], n=1)
    return f"; is {near[0]!r} meant?" if near else ""


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else PLAIN


def _errors(schema: SchemaValidator, label: Any) -> list[SchemaFault]:
    try:
        return list(schema.iter_errors(label))
    except Exception:  # as in the contract: numbers that fit no float, values that are nested too deeply
        return []


def _structural(error: SchemaFault) -> bool:
    """True if a value breaks a schema by its shape; of alternatives, if it breaks each by its shape."""
    if error.validator in ("anyOf", "oneOf"):
        branches: dict[Any, bool] = {}
        for one in error.context:
            branch = one.relative_schema_path[0]
            branches[branch] = branches.get(branch, False) or _structural(one)
        return bool(branches) and all(branches.values())
    return error.validator in _STRUCTURAL


def _words(error: SchemaFault) -> str:
    return f"{error.json_path}: {error.message}"[:200]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        yield json.dumps(value, ensure_ascii=False, default=str)
