"""Mistakes in a pipeline file as errors with the dotted key and the remedy."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from types import TracebackType
from typing import Any, Final, Self

from pydantic import BaseModel, ValidationError

from streams.core.errors import ConfigError, MistakesError
from streams.pipeline import model_specs
from streams.pipeline import spec as s


class Mistakes:
    """Collects mistakes, to report them at once: each `with` block keeps the ConfigError that ends it."""

    def __init__(self) -> None:
        self.found: list[ConfigError] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.found += mistakes_in(error) if isinstance(error, ConfigError) else ()
        return isinstance(error, ConfigError)

    def report(self) -> None:
        """Raise what was collected: nothing, the only mistake, or all of them as MistakesError."""
        if self.found:
            raise self.found[0] if len(self.found) == 1 else MistakesError(self.found)


def mistakes_in(error: ConfigError) -> tuple[ConfigError, ...]:
    """Return the mistakes that an error reports."""
    return error.errors if isinstance(error, MistakesError) else (error,)


def placed(errors: Iterable[ConfigError], file: str, text: str) -> list[ConfigError]:
    """Return mistakes with the pipeline file's name and the line of their key, if it is found."""
    found = []
    for error in errors:
        line = line_of(text, error.key)
        found.append(ConfigError(error.what, error.remedy, error.key, f"line {line} of {file}") if line else error)
    return found


def line_of(text: str, key: str) -> int | None:
    """Return the line of a TOML text where a dotted key, or else the longest part of its beginning, is written."""
    table, best, longest = "", None, 0
    written = Counter[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if (match := _LINE.match(line)) is None:
            continue
        name = re.sub(r"[\s\"']", "", match["table"] or match["key"])
        if match["table"]:
            written[name] += match["list"] is not None
            first, point, rest = name.partition(".")
            name = f"{first}.{written[first]}{point}{rest}" if written[first] > 1 else name
        table, name = (name, name) if match["table"] else (table, f"{table}.{name}".lstrip("."))
        if len(name) > longest and f"{key}.".startswith(f"{name}."):
            best, longest = number, len(name)
    return best


_LINE: Final = re.compile(r"\s*(?:\[(?P<list>\[)?(?P<table>[^\[\]]+)\]|(?P<key>[\w\"'.-]+)\s*=)")
_FUNCTION: Final = ":"
_WORDS: Final = {
    "missing": ("is missing.", "Add it."),
    "union_tag_not_found": ("is missing.", "Add it; docs/pipeline.md lists the kinds."),
    "union_tag_invalid": ("{tag!r} does not exist.", "Use one of {expected_tags}."),
    "literal_error": ("{input!r} is not one of the values.", "Use {expected}."),
    "less_than_equal": ("{input!r} is out of range.", "Write at most {le:g}."),
    "less_than": ("{input!r} is out of range.", "Write less than {lt:g}."),
    "greater_than_equal": ("{input!r} is out of range.", "Write at least {ge:g}."),
    "greater_than": ("{input!r} is out of range.", "Write more than {gt:g}."),
    "finite_number": ("{input!r} is not a finite number.", "Write a number such as 0.75."),
    **dict.fromkeys(
        ("float_parsing", "float_type", "decimal_parsing", "decimal_type"),
        ("{input!r} is not a number.", "Write a number without quotes, such as 0.75."),
    ),
    **dict.fromkeys(
        ("int_parsing", "int_type", "int_from_float", "int_parsing_size"),
        ("{input!r} is not a whole number.", "Write one without quotes, such as 4."),
    ),
    **dict.fromkeys(("bool_parsing", "bool_type"), ("{input!r} is neither true nor false.", "Write true or false.")),
    "string_type": ("{input!r} is not text.", "Write it in quotes."),
    "string_too_short": ("{input!r} is too short.", "Write at least {min_length} characters."),
    "string_too_long": ("{input!r} is too long.", "Write at most {max_length} characters."),
    "too_short": ("has too few entries.", "Give at least {min_length}."),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"), ("{input!r} is not a table.", "Write it as [a table].")
    ),
    **dict.fromkeys(("tuple_type", "list_type"), ("{input!r} is not a list.", "Write it in brackets: [ … ].")),
}
"""Each kind of finding of pydantic in words, and its remedy."""


def findings(error: ValidationError) -> Iterator[ConfigError]:
    """Yield each of pydantic's findings as a mistake."""
    for item in error.errors(include_url=False):
        yield _mistake(item, location_of(item))


def location_of(item: Any) -> list[str]:
    """Return the keys, from the outermost, that lead to a finding."""
    location = [str(part) for part in item["loc"]]
    if location and location[0] in ("listeners", "models") and len(location) > 2:
        del location[2]  # the union's tag, not a key of the file
    if location and location[-1] == "[key]":
        location.pop()  # pydantic's mark for a wrong table name
    if location[:1] == ["source"] and len(location) > 1 and location[1].isdigit():
        place = int(location[1]) + 1
        location[1:2] = [str(place)] if place > 1 else []  # the second of several is source.2
    if item["type"].startswith("union_tag"):
        location.append(str(item["ctx"]["discriminator"]).strip("'"))
    return location


def _mistake(item: Any, location: Sequence[str]) -> ConfigError:
    key = ".".join(location)
    if item["type"] == "extra_forbidden":
        return ConfigError("unknown key.", _closest(location[-1]), key)
    if item["type"] == "string_pattern_mismatch":
        remedy = _FUNCTION_FORM if _FUNCTION in item["ctx"]["pattern"] else _NAME_FORM
        return ConfigError(f"{item['input']!r:.100} is not written as it must be.", remedy, key)
    if item["type"] not in _WORDS:
        return ConfigError(f"{item['msg'].removeprefix('Value error, ')}.", "", key)
    said = {**item.get("ctx", {}), "input": _Short(item["input"])}
    what, remedy = (text.format_map(said) for text in _WORDS[item["type"]])
    return ConfigError(what, remedy, key)


_FUNCTION_FORM: Final = 'Write "package.module:function".'
_NAME_FORM: Final = "Use lower-case letters, digits, - and _, with a letter first, and at most 64 of them."


class _Short:
    """A value of the file as it is quoted: cut off."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        return f"{self._value!r:.100}"


_NAMED: Final = ("models", "listeners", "workers", "reasoners")
"""The tables of tables, one a name."""


def _closest(key: str) -> str:
    if key in _keys():
        return "It belongs into another table; docs/pipeline.md lists the keys of each."
    near = _near(key)
    return f"Did you mean {near!r}?" if near else "Remove it; docs/pipeline.md lists the keys."


def _near(key: str) -> str | None:
    """Return the key that was probably meant; None for a key that is right elsewhere."""
    keys = _keys()
    return None if key in keys else next(iter(difflib.get_close_matches(key, keys, n=1)), None)


def _keys() -> list[str]:
    named = [*vars(s).values(), *vars(model_specs).values()]
    models = [value for value in named if isinstance(value, type) and issubclass(value, BaseModel)]
    return list(dict.fromkeys(field.alias or name for model in models for name, field in model.model_fields.items()))


def corrected(table: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """Return a copy of the file's table with misspelt keys renamed and other wrong values left out."""
    rest = deepcopy(dict(table))
    for item in error.errors(include_url=False):
        _correct(rest, location_of(item), item["type"] == "extra_forbidden")
    return rest


def _correct(rest: dict[str, Any], location: Sequence[str], misspelt: bool) -> None:
    """Rename or remove the key that a location leads to, unless a whole handler or table is meant."""
    inside, keys = rest, list(location)
    while len(keys) > 1 and isinstance(inside.get(keys[0]), dict):
        inside = inside[keys.pop(0)]
    if (
        len(location) - len(keys) < (2 if location and location[0] in _NAMED else 1)
        or not keys
        or keys[0] not in inside
    ):
        return
    value, near = inside.pop(keys[0]), _near(keys[0])
    if misspelt and near is not None:
        inside.setdefault(near, value)


def known(names: Any, what: str) -> str:
    """Return the remedy for an unknown name."""
    listed = ", ".join(names)
    return f"Use one of: {listed}." if listed else f"Add {what} to the file."
