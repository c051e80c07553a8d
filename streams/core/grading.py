"""Whether an answer is right by a label, where that can be known at all."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from streams.core.answer_comparison import Agree, Comparison, number_in, value_of
from streams.core.redaction.detectors import BUILT_IN

Grade = Literal["right", "wrong", "hidden", "misfit"]
"""`hidden`: redaction took a part that decides. `misfit`: the label cannot be an answer of this handler."""
_STRUCTURAL: Final = frozenset({"type", "required", "additionalProperties", "unevaluatedProperties"})
"""Keywords of a JSON schema about the shape of a value and not about what it says."""
_FAILED: Final = "redaction failed"
PLAIN: Final = "a plain value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Markers:
    """What redaction may have left in a text: the names of detectors in brackets."""

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, names: Iterable[str] = (), *, any_name: bool = False) -> Markers:
        """The markers of the built-in detectors and of `names`; with `any_name` any lower-case name in brackets, for
        a function that hides things under names of its own."""
        known = [re.escape(name) for name in sorted({*BUILT_IN, *names, _FAILED})]
        return cls(
            pattern=re.compile(rf"\[(?:{'|'.join([*known, '[a-z][a-z0-9_ -]{1,63}'] if any_name else known)})\]")
        )

    def hide(self, *values: Any) -> bool:
        """Whether a part of any value was hidden."""
        return any(self.pattern.search(text) for value in values for text in _texts(value))


USUAL_MARKERS: Final = Markers.of()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """Compares the answers of one handler with labels.

    `schema` validates its answers (a jsonschema validator); None where their shape is not known. `plain` says that its
    answers are text, so that no label in the form of an object or a list can fit.
    """

    agree: Agree
    schema: Any = None
    plain: bool = False
    markers: Markers = USUAL_MARKERS

    def __call__(self, answer: str, label: str) -> Grade:
        """Whether an answer agrees with a label, both as they are recorded."""
        said, readings = value_of(answer), _readings(label)
        if any(self.markers.hide(*self._compared(said, one)) for one in readings[:1]):
            return "hidden"
        if any(self.agree(said, one) for one in readings):
            return "right"
        return "misfit" if all(self._fault(said, one) for one in readings) else "wrong"

    def fault(self, answer: str, label: str) -> str:
        """Why a label cannot be an answer of the handler, in a few words; empty where it can."""
        faults = [self._fault(value_of(answer), one) for one in _readings(label)]
        return faults[0] if all(faults) else ""

    def _compared(self, *values: Any) -> Iterator[Any]:
        """The parts that decide whether the values agree."""
        named = isinstance(self.agree, Comparison) and self.agree.by == "fields"
        names = self.agree.fields if isinstance(self.agree, Comparison) else ()
        for value in values:
            yield [value.get(name) for name in names] if named and isinstance(value, Mapping) else value

    def _fault(self, answer: Any, label: Any) -> str:
        if not isinstance(self.agree, Comparison):
            return ""  # a function compares whatever it is made for
        if self.agree.by == "numeric":
            return _no_number(answer, label)
        if self.agree.by == "fields":
            return _no_fields(self.agree.fields, answer, label)
        return self._no_answer(answer, label)

    def _no_answer(self, answer: Any, label: Any) -> str:
        """Why a label is not a possible answer."""
        if self.schema is None:
            return _no_likeness(answer, label, plain=self.plain)
        named = self.schema.schema.get("properties") if isinstance(self.schema.schema, Mapping) else None
        if named and isinstance(answer, Mapping) and isinstance(label, Mapping):
            odd = next((name for name in label if name not in named and name not in answer), None)
            if odd is not None:
                return f"there is no field {odd!r}{_nearest(odd, named)}"
        return next(map(_words, filter(_structural, _errors(self.schema, label))), "")


def _readings(label: str) -> list[Any]:
    """What a label may mean: its JSON value; where that is not a text, also the text itself."""
    value = value_of(label)
    return [value] if isinstance(value, (str, dict, list)) else [value, label]


def _no_likeness(answer: Any, label: Any, *, plain: bool) -> str:
    """Why a label is nothing like an answer whose schema is not known. Text may look like anything."""
    if _kind(answer) != _kind(label) and not (plain and _kind(label) == PLAIN):
        return f"it is {_kind(label)}, the answer is {_kind(answer)}"
    objects = isinstance(answer, Mapping) and isinstance(label, Mapping)
    if objects and answer and label and not answer.keys() & label.keys():
        return f"it has none of the answer's fields ({', '.join(map(str, answer))})"
    return ""


def _no_number(answer: Any, label: Any) -> str:
    if number_in(label) is None:
        return "there is no number in it"
    return "" if _kind(answer) == PLAIN else f"it is a number, the answer is {_kind(answer)}"


def _no_fields(names: tuple[str, ...], answer: Any, label: Any) -> str:
    if not isinstance(answer, Mapping):
        return f"fields are to be compared, and the answer is {_kind(answer)}"
    if not isinstance(label, Mapping):
        return "" if len(names) == 1 else f"it is {_kind(label)}, not an object with {', '.join(names)}"
    missing = next((name for name in names if name not in label), None)
    return "" if missing is None else f"it has no field {missing!r}{_nearest(missing, label)}"


def _nearest(name: str, others: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, [str(one) for one in others], n=1)
    return f" (is it {near[0]!r}?)" if near else ""


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else PLAIN


def _errors(schema: Any, label: Any) -> list[Any]:
    try:
        return list(schema.iter_errors(label))
    except Exception:  # as the contract: numbers that fit no float, values that are too deep
        return []


def _structural(error: Any) -> bool:
    """Whether a value breaks a schema by its shape: of alternatives, in each of them."""
    if error.validator in ("anyOf", "oneOf"):
        branches: dict[Any, bool] = {}
        for one in error.context:
            branch = one.relative_schema_path[0]
            branches[branch] = branches.get(branch, False) or _structural(one)
        return bool(branches) and all(branches.values())
    return error.validator in _STRUCTURAL


def _words(error: Any) -> str:
    return f"{error.json_path}: {error.message}"[:200]


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, names of fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        yield json.dumps(value, ensure_ascii=False, default=str)
