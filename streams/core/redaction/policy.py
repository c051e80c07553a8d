"""Redaction: what a policy finds in a text gives way to its name in brackets, such as `[email]`."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import re2

from streams.core.errors import ConfigError, EscalonError
from streams.core.process_fault import raise_process_fault
from streams.core.redaction.detectors import BUILT_IN, KEY_NAMES, Detector, Span
from streams.core.redaction.text_views import views

FAILED = "[redaction failed]"
MAX_PASSES = 16
"""What is hidden changes what its neighbours are, so the rules look again until they find nothing."""
MAX_NESTING = 4
"""Levels of JSON inside the strings of JSON."""
PATTERN_MEMORY = 16 << 20
_ALWAYS = r"\z"
"""Matches every text, so that RE2 finding nothing at all means that it ran out of memory."""
# Strings and whole numbers of JSON; a fraction is a measurement and no number of anybody.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(?P<key>\s*:)?|-?\d[\d.eE+\-]*', re.DOTALL)
_SECRET_KEY = re.compile(rf'"[^"]*{KEY_NAMES}"', re.IGNORECASE)


def options() -> Any:
    """How every pattern is compiled."""
    found = re2.Options()
    found.log_errors = False
    found.max_mem = PATTERN_MEMORY
    return found


_SECRET_PART = re2.compile(rf'(?i){KEY_NAMES}"\s*:\s*[^"\s]', options())
"""A secret's name in JSON and the first character of a value that is no string: a number, a list, an object.

What it finds, the detector `key` finds too.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionPolicy:
    """The rules of a pipeline file. `id` is what rows are stamped with.

    `function` comes last, on what the rules left. What it raises goes to `tell`, and the text it raised on is
    withheld as a whole.
    """

    id: str
    detectors: Sequence[Detector]
    function: Callable[[str], str] | None = None
    tell: Callable[[Exception], None] = lambda _: None
    _patterns: Sequence[Any] = field(init=False, repr=False, compare=False)
    _any: Any = field(init=False, repr=False, compare=False)
    _marker: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = "|".join(re.escape(one.name) for one in self.detectors)
        try:
            object.__setattr__(self, "_patterns", [re2.compile(one.pattern, options()) for one in self.detectors])
            object.__setattr__(self, "_any", _any_of([one.hint or one.pattern for one in self.detectors]))
        except re2.error as error:
            remedy = "Give fewer or smaller ones, in RE2's syntax."
            raise ConfigError("the patterns cannot be looked for together.", remedy, "redaction.patterns") from error
        object.__setattr__(self, "_marker", re.compile(rf"(\[(?:{names})\]|{re.escape(FAILED)})"))

    def text(self, text: str) -> str:
        """The text without what it must not hold; unchanged where there is nothing. JSON stays JSON.

        A text that cannot be redacted is withheld.
        """
        try:
            return self._text(text, MAX_NESTING) if text else text
        except Exception as error:
            raise_process_fault(error)
            self.tell(error)
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
        """Whether what hides in a string of JSON without an escape shows in the JSON as well, as for every built-in
        detector. A pattern of one's own may ask for the beginning of the text."""
        return self.function is None and all(BUILT_IN.get(one.name) is one for one in self.detectors)

    @property
    def _hides_keys(self) -> bool:
        return any(one.name == "key" for one in self.detectors)

    def _hits(self, text: str) -> list[int]:
        """The detectors that may find something, in their order."""
        found: set[int] = set()
        for view in views(text):
            hits = self._any.Match(view.text)
            if hits is None:
                raise EscalonError("RE2 gave up on a text.", "Give fewer or smaller patterns in [redaction.patterns].")
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
            self.tell(error)
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
        """Only strings and numbers with something in them are written anew; all else stays as it is, byte for byte."""
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
        if "\\" in token:  # half a surrogate pair is allowed in JSON and nowhere else
            value = str(json.loads(token, strict=False)).encode("utf-8", "replace").decode()
        redacted = self._text(value, nesting) if instead is None or not value else instead
        return token if redacted == value else json.dumps(redacted, ensure_ascii=False)

    def _number(self, token: str) -> str:
        redacted = self._plain(token) if token.lstrip("-").isdigit() else token
        return token if redacted == token else json.dumps(redacted, ensure_ascii=False)


def _without_parts(text: str) -> str:
    """The JSON with a marker for whatever stands under a secret's name and is no string, whole."""
    pieces, done = [], 0
    for match in _SECRET_PART.finditer(text):
        if match.start() >= done:
            start = match.end() - 1
            pieces += [text[done:start], '"[key]"']
            _, done = json.JSONDecoder(strict=False).raw_decode(text, start)
    return "".join([*pieces, text[done:]])


def _any_of(patterns: Iterable[str]) -> Any:
    found = re2.Set.SearchSet(options())
    for pattern in (*patterns, _ALWAYS):
        found.Add(pattern)
    found.Compile()
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except RecursionError:  # it is as far as anybody can tell
        return True
    except ValueError:
        return False
    return True


def _spans(text: str, detector: Detector, pattern: Any) -> list[Span]:
    """What a detector finds in any view of a text. What it finds over the end of a line counts where it found nothing
    on the lines themselves, for what begins on the next line seldom belongs to a number that is whole."""
    found: list[Span] = []
    for view in views(text):
        own = [span for match in pattern.finditer(view.text) for span in detector.found(view.text, match)]
        spans = [view.span(start, end) for start, end in own if start < end]
        if view.joined:
            spans = _apart(spans, found)
        found += spans
    return found


def _apart(spans: list[Span], others: list[Span]) -> list[Span]:
    """The spans that none of the others overlaps."""
    ends = list(accumulate((end for _, end in sorted(others)), max, initial=0))
    starts = sorted(start for start, _ in others)
    return [one for one in spans if ends[bisect_left(starts, one[1])] <= one[0]]


def _hidden(text: str, spans: Iterable[Span], name: str) -> str:
    """The text with a marker in place of each span; overlapping spans have one marker."""
    parts, done = [], 0
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if start >= done:
            parts += [text[done:start], f"[{name}]"]
        done = max(done, end)
    return "".join([*parts, text[done:]]) if parts else text
