"""Listeners without a model: a table of regular expressions, matched in linear time.

Patterns run on RE2, whose time is linear in the text for every pattern, so that neither a careless
pattern nor a hostile message can hold up a stream. The price is its syntax: no look-around, no
back-references, and `\\w`, `\\d` and `\\b` know ASCII only (write `\\pL` for a letter of any script).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import re2

from streams.core.errors import ConfigError

MAX_PATTERNS = 1_000
MAX_PATTERN_MEMORY = 8 << 20
"""Bytes that one compiled pattern may take, its automaton included; and the automaton of all together."""
ALWAYS = r"\z"
"""Matches every text: where all patterns together do not find it, their automaton was too large for the text."""


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """One label whose rule matched: the matched text and the span [start, end) in characters."""

    label: str
    text: str
    start: int
    end: int


class RuleSet:
    """Labels with their regular expressions, compiled once; safe to share between threads."""

    def __init__(self, table: Mapping[str, Sequence[str]], *, ignore_case: bool = True) -> None:
        """Compile `table` (label -> patterns). Raises ConfigError that names the pattern at fault."""
        _check_table(table)
        self._rules: list[tuple[str, Any]] = [
            (label, _compile(label, position, pattern, ignore_case))
            for label, patterns in table.items()
            for position, pattern in enumerate(patterns)
        ]
        self._together = _together(chain(*table.values()), ignore_case)
        self.labels = tuple(table)

    def match(self, text: str) -> list[RuleMatch]:
        """Return each label that matches, once, with the first match of its first matching pattern.

        Labels are in the order of the table. The whole text is searched: padding must not hide a match.
        """
        looked_at = text.encode("utf-8", "replace").decode()
        found: dict[str, RuleMatch] = {}
        for label, pattern in self._matching(looked_at):
            if label not in found and (hit := pattern.search(looked_at)):
                start, end = hit.span()
                found[label] = RuleMatch(label, looked_at[start:end], start, end)
        return list(found.values())

    def _matching(self, text: str) -> list[tuple[str, Any]]:
        """Return the rules that match, found by one search for all together; all rules where that is not possible."""
        *hits, last = sorted(self._together.Match(text) if self._together else ()) or [-1]
        return [self._rules[hit] for hit in hits] if last == len(self._rules) else self._rules


def _check_table(table: Mapping[str, Sequence[str]]) -> None:
    if not table:
        raise ConfigError("There are no rules.", "Give at least one label with a pattern.", key="rules")
    for label, patterns in table.items():
        if isinstance(patterns, str) or not patterns:
            raise ConfigError("Expected a list of patterns.", 'Write ["pattern", …].', key=f"rules.{label}")
    if sum(map(len, table.values())) > MAX_PATTERNS:
        raise ConfigError(
            f"There are more than {MAX_PATTERNS} patterns.", "Join some with `|`, or use a classifier.", key="rules"
        )


def _compile(label: str, position: int, pattern: str, ignore_case: bool) -> Any:
    """Return the compiled pattern. Raises ConfigError unless it is valid RE2 and does not match the empty text."""
    key = f"rules.{label}[{position}]"
    try:
        compiled = re2.compile(pattern, options=_options(ignore_case))
    except (re2.error, TypeError, UnicodeEncodeError) as error:
        raise ConfigError(
            f"The pattern {pattern!r} is not valid: {_message(error)}.",
            "RE2 syntax holds: no look-around and no back-references.",
            key=key,
        ) from error
    if compiled.search(""):
        raise ConfigError(
            f"The pattern {pattern!r} matches the empty text, so it would match every message.",
            "Make at least one character of it required.",
            key=key,
        )
    return compiled


def _together(patterns: Iterable[str], ignore_case: bool) -> Any:
    """Return all patterns as one, and ALWAYS as the last; None if they are too large together."""
    found = re2.Set.SearchSet(_options(ignore_case))
    for pattern in (*patterns, ALWAYS):
        found.Add(pattern)
    try:
        found.Compile()
    except re2.error:
        return None
    return found


def _options(ignore_case: bool) -> re2.Options:
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.max_mem = MAX_PATTERN_MEMORY
    options.log_errors = False
    return options


def _message(error: Exception) -> str:
    detail = error.args[0] if error.args else error
    return detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
