"""Redaction: replace each finding of a policy in a text by its name in brackets, such as `[email]`."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Protocol

import re2

from streams.core.errors import ConfigError, EscalonError
from streams.core.process_fault import raise_process_fault
from streams.core.redaction.detectors import BUILT_IN, KEY_NAMES, Detector, Span
from streams.core.redaction.text_views import views

FAILED = "[redaction failed]"
MAX_PASSES = 16
"""Hiding a finding changes its neighbours' context, so the rules run again until they find nothing."""
MAX_NESTING = 4
"""Levels of JSON inside the strings of JSON."""
PATTERN_MEMORY = 16 << 20
_ALWAYS = r"\z"
"""Matches every text, so a search without any match means that RE2 ran out of memory."""
# Strings and whole numbers of JSON. A fraction is a measurement, not a phone or card number.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(?P<key>\s*:)?|-?\d[\d.eE+\-]*', re.DOTALL)
_SECRET_KEY = re.compile(rf'"[^"]*{KEY_NAMES}"', re.IGNORECASE)


class PatternSet(Protocol):
    """The part of re2.Set that is used here."""

    def Add(self, pattern: str) -> int: ...  # noqa: N802
    def Compile(self) -> None: ...  # noqa: N802
    def Match(self, text: str) -> list[int] | None: ...  # noqa: N802


def options() -> Any:
    found = re2.Options()
    found.log_errors = False
    found.max_mem = PATTERN_MEMORY
    return found


_SECRET_PART = re2.compile(rf'(?i){KEY_NAMES}"\s*:\s*[^"\s]', options())
"""A secret's name in JSON and the first character of its value, unless that is a string. The detector `key` finds a
superset of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionPolicy:
    """The redaction rules of a pipeline file. Rows carry its `id`.

    `function` runs last, on what the rules left. If it raises, the error goes to `report` and the whole text is
    withheld.
    """

    id: str
    detectors: Sequence[Detector]
    function: Callable[[str], str] | None = None
    report: Callable[[Exception], None] = lambda _: None
    _patterns: Sequence[Any] = field(init=False, repr=False, compare=False)
    _any: PatternSet = field(init=False, repr=False, compare=False)
    _marker: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = "|".join(re.escape(one.name) for one in self.detectors)
        try:
            object.__setattr__(self, "_patterns", [re2.compile(one.pattern, options()) for one in self.detectors])
            object.__setattr__(self, "_any", _any_of([one.hint or one.pattern for one in self.detectors]))
        except re2.error as error:
            remedy = "Use fewer or smaller patterns, in RE2's syntax."
            raise ConfigError("the patterns cannot be compiled together.", remedy, "redaction.patterns") from error
        object.__setattr__(self, "_marker", re.compile(rf"(\[(?:{names})\]|{re.escape(FAILED)})"))

    def text(self, text: str) -> str:
        """Redact a text; one without findings is returned unchanged. JSON stays JSON.

        A text that cannot be redacted is withheld as a whole.
        """
        try:
            return self._text(text, MAX_NESTING) if text else text
        except Exception as error:
            raise_process_fault(error)
            self.report(error)
            return FAILED

    def _text(self, text: str, nesting: int) -> str:
        if self._quotes_show and "\\" not in text and not self._hits(text):
            return text
        if nesting and text.lstrip()[:1] in ("{", "[", '"') and _is_json(text):
            return self._json(_without_parts(text) if self._hides_keys else text, nesting - 1)
        return self._plain(text)

    def _plain(self, text: str) -> str:
        for _ in range(MAX_PASSES):
            before, text = text, self._passed(text, self._hits(text))
            if text == before:
                break
        return self._by_function(text)

    @property
    def _quotes_show(self) -> bool:
        """True if every finding in an unescaped JSON string is also found in the JSON text around it.

        It holds for the built-in detectors. A user's pattern may be anchored to the beginning of the text.
        """
        return self.function is None and all(BUILT_IN.get(one.name) is one for one in self.detectors)

    @property
    def _hides_keys(self) -> bool:
        return any(one.name == "key" for one in self.detectors)

    def _hits(self, text: str) -> list[int]:
        """Return the numbers of the detectors that may find something, in order."""
        found: set[int] = set()
        for view in views(text):
            hits = self._any.Match(view.text)
            if hits is None:
                raise EscalonError("RE2 gave up on a text.", "Use fewer or smaller patterns in [redaction.patterns].")
            found.update(hits)
        return sorted(found)[:-1]

    def _by_function(self, text: str) -> str:
        if self.function is None:
            return text
        try:
            said = self.function(text)
            if not isinstance(said, str):
                raise TypeError(f"it returned {type(said).__name__} instead of a text")
            said.encode("utf-8")
        except Exception as error:
            raise_process_fault(error)
            self.report(error)
            return FAILED
        return said

    def _passed(self, text: str, hits: Iterable[int]) -> str:
        for number in hits:
            detector, pattern = self.detectors[number], self._patterns[number]
            pieces = self._marker.split(text)
            pieces[::2] = [_hidden(piece, _spans(piece, detector, pattern), detector.name) for piece in pieces[::2]]
            text = "".join(pieces)
        return text

    def _json(self, text: str, nesting: int) -> str:
        """Rewrite only strings and numbers with findings; the rest of the JSON stays byte for byte."""
        secret = False

        def replaced(match: re.Match[str]) -> str:
            nonlocal secret
            token, colon = match.group(), match["key"] or ""
            if not token.startswith('"'):
                secret = False
                return self._number(token)
            token = token.removesuffix(colon)
            hide, secret = secret and not colon, bool(colon and self._hides_keys and _SECRET_KEY.fullmatch(token))
            return self._string(token, nesting, "[key]" if hide else None) + colon

        return _TOKEN.sub(replaced, text)

    def _string(self, token: str, nesting: int, instead: str | None) -> str:
        value = token[1:-1]
        if "\\" in token:  # JSON allows half a surrogate pair, UTF-8 does not
            value = str(json.loads(token, strict=False)).encode("utf-8", "replace").decode()
        redacted = self._text(value, nesting) if instead is None or not value else instead
        return token if redacted == value else json.dumps(redacted, ensure_ascii=False)

    def _number(self, token: str) -> str:
        redacted = self._plain(token) if token.lstrip("-").isdigit() else token
        return token if redacted == token else json.dumps(redacted, ensure_ascii=False)


def _without_parts(text: str) -> str:
    """Replace each value of a secret's name in JSON that is a number, a list or an object by a marker."""
    pieces, done = [], 0
    for match in _SECRET_PART.finditer(text):
        if match.start() >= done:
            start = match.end() - 1
            pieces += [text[done:start], '"[key]"']
            _, done = json.JSONDecoder(strict=False).raw_decode(text, start)
    return "".join([*pieces, text[done:]])


def _any_of(patterns: Iterable[str]) -> PatternSet:
    found: PatternSet = re2.Set.SearchSet(options())
    for pattern in (*patterns, _ALWAYS):
        found.Add(pattern)
    found.Compile()
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except RecursionError:  # too deep to parse, so taken for JSON
        return True
    except ValueError:
        return False
    return True


def _spans(text: str, detector: Detector, pattern: Any) -> list[Span]:
    """Return a detector's findings in all views of a text.

    A finding across a line break counts only where the lines themselves have none, because the next line seldom
    continues a number that is already complete.
    """
    found: list[Span] = []
    for view in views(text):
        own = [span for match in pattern.finditer(view.text) for span in detector.found(view.text, match)]
        spans = [view.span(start, end) for start, end in own if start < end]
        if view.joined:
            spans = _apart(spans, found)
        found += spans
    return found


def _apart(spans: list[Span], others: list[Span]) -> list[Span]:
    ends = list(accumulate((end for _, end in sorted(others)), max, initial=0))
    starts = sorted(start for start, _ in others)
    return [one for one in spans if ends[bisect_left(starts, one[1])] <= one[0]]


def _hidden(text: str, spans: Iterable[Span], name: str) -> str:
    """Replace each span by a marker; overlapping spans share one."""
    parts, done = [], 0
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if start >= done:
            parts += [text[done:start], f"[{name}]"]
        done = max(done, end)
    return "".join([*parts, text[done:]]) if parts else text
