"""Change one value of a pipeline file, and keep the rest of it: comments, order, layout."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from typing import Any, Final

from streams.core.errors import ConfigError

_HEADER: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?")
_VALUE: Final = r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#]+)"""


def with_value(text: str, table: str, key: str, value: str) -> str:
    """Return a TOML file's text with one key of a table set to `value`, which is written as TOML.

    The line of the key is changed, or a line added below the table's header. Raises ConfigError if the file writes the
    table in another form, such as inline, so that the change would not have exactly this effect.
    """
    lines = text.splitlines(keepends=True)
    start = _header(lines, table)
    wanted = _set(tomllib.loads(text), [*table.split("."), key], tomllib.loads(f"value = {value}")["value"])
    made = _changed(lines, start, key, value) if start is not None else ""
    try:
        if made and tomllib.loads(made) == wanted:
            return made
    except tomllib.TOMLDecodeError:
        pass
    what = f"the line cannot be found or changed in the pipeline file; it should read {key} = {value}."
    raise ConfigError(what, "Change it by hand.", f"{table}.{key}")


def unified_diff(before: str, after: str, old: str, new: str) -> str:
    """Return the change from one text to another as a unified diff with the files' names."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm="", n=2)
    return "\n".join(lines)


def _header(lines: Sequence[str], table: str) -> int | None:
    for place, line in enumerate(lines):
        found = _HEADER.fullmatch(line.rstrip("\r\n"))
        if found and [part.strip("\"' ") for part in found[1].split(".")] == table.split("."):
            return place
    return None


def _changed(lines: Sequence[str], start: int, key: str, value: str) -> str:
    pattern = re.compile(rf"""(\s*["']?{re.escape(key)}["']?\s*=\s*){_VALUE}(.*)""", re.DOTALL)
    made = list(lines)
    for place in range(start + 1, len(made)):
        if made[place].lstrip().startswith("["):
            break
        if found := pattern.fullmatch(made[place]):
            made[place] = f"{found[1]}{value}{found[3]}"
            return "".join(made)
    end = "" if made[start].endswith("\n") else "\n"
    made.insert(start + 1, f"{end}{key} = {value}\n")
    return "".join(made)


def _set(table: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a table with the value at a path replaced."""
    first, *rest = path
    return {**table, first: _set(table.get(first, {}), rest, value) if rest else value}
