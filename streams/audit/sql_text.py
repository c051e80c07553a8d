"""The text of a query, checked before it runs: its parameters, and that it only reads within the limits."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from streams.core.errors import ConfigError

_TOKEN = re.compile(
    r"'(?:\\.|''|[^'\\])*'|(?P<tag>\$\w*\$).*?(?P=tag)|--[^\n]*|#[ !][^\n]*|/\*.*?\*/"
    r"|`(?:\\.|``|[^`\\])*`|\"(?:\\.|\"\"|[^\"\\])*\"",
    re.S,
)
_PARAMETER = re.compile(r"\{\s*([A-Za-z_]\w*)\s*:\s*([^{}]+?)\s*\}")
_READS: Final = ("SELECT", "WITH", "SHOW", "DESCRIBE", "EXPLAIN", "EXISTS")
_NESTED: Final = ("Array(", "Map(", "Tuple(")


def bare(sql: str) -> str:
    """Return the text without literals, quoted names and comments."""
    return _TOKEN.sub(" ", sql)


def parameters_of(sql: str) -> dict[str, str]:
    return dict(_PARAMETER.findall(bare(sql)))


def bound(sql: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a query's parameters: the given ones, else the defaults.

    Raises ConfigError for a value that no parameter takes and for a parameter without a value.
    """
    asked = parameters_of(sql)
    if unknown := sorted(set(given) - set(asked)):
        known = f"It has: {', '.join(sorted(asked))}." if asked else "Write {name:Type} where the value belongs."
        raise ConfigError(f"the query has no parameter {unknown[0]!r}.", known, "param")
    values = {name: value for name, value in defaults.items() if name in asked} | dict(given)
    if missing := sorted(set(asked) - set(values)):
        raise ConfigError(f"the parameter {missing[0]!r} has no value.", f"Add --param {missing[0]}=VALUE.", "param")
    return {name: _value(name, value, asked[name]) for name, value in values.items()}


def _value(name: str, value: Any, kind: str) -> Any:
    """Return a value for the driver. Lists and maps are read from JSON."""
    if not isinstance(value, str) or not kind.startswith(_NESTED):
        return value
    try:
        read = json.loads(value)
    except ValueError as error:
        raise ConfigError(
            f"{name} is not JSON ({error}).", f'Write {kind} as JSON, as in ["a", "b"].', "param"
        ) from error
    return tuple(read) if kind.startswith("Tuple(") and isinstance(read, list) else read


def check_reads(canonical: str, limits: Collection[str]) -> None:
    """Raise ConfigError for a statement that does more than read, or that changes one of its limits.

    `canonical` is the statement as ClickHouse formats it, so that no spelling hides a name.
    """
    text = bare(canonical).lstrip(" (\n")
    word = re.match(r"[A-Za-z]*", text)
    if word is None or word[0].upper() not in _READS:
        raise ConfigError("the query does more than read.", f"Start it with {', '.join(_READS)}.", "query")
    if found := re.search(r"\bFORMAT (\w+)\s*$", text):
        raise ConfigError(f"the query contains FORMAT {found[1]}.", "Leave it out and use --format.", "query")
    names = "|".join(sorted({*limits, "readonly", "profile"}))
    if found := re.search(rf"\bSETTINGS\b.*?\b({names}) =", text, re.S):
        remedy = "Leave it out; --max-seconds and --max-rows set the limits."
        raise ConfigError(f"the query changes its own limit {found[1]}.", remedy, "query")
