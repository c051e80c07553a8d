"""The named queries: SQL files whose first lines describe them and their parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from streams.audit.sql_text import parameters_of
from streams.core.errors import MissingError
from streams.core.time_range import EARLIEST, LATEST

DEFAULTS: Mapping[str, str] = {
    "run": "live",
    "since": f"{EARLIEST:%Y-%m-%d %H:%M:%S}",
    "until": f"{LATEST:%Y-%m-%d %H:%M:%S}",
}
"""Defaults of the parameters that most queries share: all of live traffic."""
_DEFAULT = re.compile(r"-- ([a-z_]+) = (.*?): (.+)")


@dataclass(frozen=True, slots=True)
class NamedQuery:
    name: str
    about: str
    sql: str
    defaults: Mapping[str, str]
    """Defaults of its parameters. A parameter without a default is required."""

    @property
    def parameters(self) -> Mapping[str, str]:
        return parameters_of(self.sql)


@cache
def library() -> Mapping[str, NamedQuery]:
    found = files("streams.audit").joinpath("queries").iterdir()
    texts = {file.name.removesuffix(".sql"): file.read_text("utf-8") for file in found if file.name.endswith(".sql")}
    return {name: _parse(name, texts[name]) for name in sorted(texts)}


def named_query(name: str) -> NamedQuery:
    """Return a named query. Raises MissingError for an unknown name."""
    try:
        return library()[name]
    except KeyError:
        raise MissingError(f"there is no query {name!r}.", f"Use one of: {', '.join(library())}.", "name") from None


def _parse(name: str, sql: str) -> NamedQuery:
    """Read the comment at the top: a description, and lines `-- name = default: meaning`."""
    lines = sql.splitlines()
    own = {found[1]: found[2] for line in lines if (found := _DEFAULT.fullmatch(line))}
    return NamedQuery(name, lines[0].removeprefix("--").strip(), sql, {**DEFAULTS, **own})
