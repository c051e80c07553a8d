"""The named queries: SQL files whose first lines say what they answer and which parameters they take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from streams.audit.sql_text import parameters_of
from streams.core.errors import ConfigError
from streams.core.time_range import EARLIEST, LATEST

STANDING: Mapping[str, str] = {
    "run": "live",
    "since": f"{EARLIEST:%Y-%m-%d %H:%M:%S}",
    "until": f"{LATEST:%Y-%m-%d %H:%M:%S}",
}
"""What the parameters that most queries share are without being told: all of live traffic."""
_DEFAULT = re.compile(r"-- ([a-z_]+) = (.*?): (.+)")


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """One of the queries that escalon ships."""

    name: str
    about: str
    """What it answers, in a line."""
    sql: str
    defaults: Mapping[str, str]
    """Of its own parameters and of those it shares; one that is not here must be given."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """Its parameters and their types."""
        return parameters_of(self.sql)


@cache
def library() -> Mapping[str, NamedQuery]:
    """All named queries, by name."""
    found = files("streams.audit").joinpath("queries").iterdir()
    texts = {file.name.removesuffix(".sql"): file.read_text("utf-8") for file in found if file.name.endswith(".sql")}
    return {name: _parse(name, texts[name]) for name in sorted(texts)}


def names() -> list[str]:
    """The named queries."""
    return list(library())


def named_query(name: str) -> NamedQuery:
    """A named query; raises ConfigError where there is none of that name."""
    try:
        return library()[name]
    except KeyError:
        raise ConfigError(f"there is no query {name!r}.", f"Use one of: {', '.join(names())}.", "name") from None


def named_sql(name: str) -> str:
    """The text of a named query."""
    return named_query(name).sql


def _parse(name: str, sql: str) -> NamedQuery:
    """Read the comment at the top: what it answers, and lines `-- name = default: what it is`."""
    lines = sql.splitlines()
    own = {found[1]: found[2] for line in lines if (found := _DEFAULT.fullmatch(line))}
    return NamedQuery(name, lines[0].removeprefix("--").strip(), sql, {**STANDING, **own})
