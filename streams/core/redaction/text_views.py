"""Ways to read a text as people type it: full-width and other digits, invisible characters, broken lines.

Each view is a text with the place of each of its characters in the original, so that what is found can be hidden there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from re import compile as compiled

_MINUS_SIGNS = "−⁃﹣－"
_FULL_STOPS = "。｡"
"""What a keyboard for Chinese or Japanese types for a dot, in a domain as well."""
_LINE_SEPARATORS = "\x0b\x0c\x85\u2028\u2029"
_SPELLINGS = ("<wide>", "<narrow>", "<font>", "<small>", "<noBreak>", "<compat>")
"""The compatibility forms of Unicode that are the same character in another shape; a half or a power is not."""
_LINE_ENDS = ("\n", "\r", "\\n", "\\r")
_END = r"[ \t\-]*=?(?:[\r\n]|\\[rn])[>| \t\r\n]*"
_WRAPPED = compiled(
    rf"[0-9A-Za-z]{_END}[0-9A-Za-z]{{0,4}}[0-9]|[0-9]{_END}[0-9A-Za-z]|\b[0-9A-Z]{{1,4}}{_END}[0-9A-Z]{{1,4}}\b"
)
"""A line that ends and begins with what may be parts of one number, as of an IBAN with letters. Mail that is
quoted-printable ends lines that go on with an equals sign."""
_LINE_END = compiled(r"[ \t]*=?(?:[\r\n]|\\[rn])+[>| \t]*")


@dataclass(frozen=True, slots=True)
class View:
    """A reading of a text. `places` has the place in the original of each character; None where it is the same."""

    text: str
    places: Sequence[int] | None = None
    joined: bool = False
    """Whether its lines were joined."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """A span of this view in the original, with whatever is invisible inside it."""
        return (start, end) if self.places is None else (self.places[start], self.places[end - 1] + 1)


class _Plain(dict[int, str]):
    """What each character is in its plain form, found once."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _plain(chr(code))
        return found


def _plain(one: str) -> str:
    digit, category = unicodedata.decimal(one, None), unicodedata.category(one)
    if digit is not None:
        return str(digit)
    if category == "Cf" or "\ufe00" <= one <= "\ufe0f" or one == "\u034f":
        return ""
    if category == "Zs":
        return " "
    if one in _FULL_STOPS:
        return "."
    if category == "Pd" or one in _MINUS_SIGNS:
        return "-"
    if one in _LINE_SEPARATORS:
        return "\n"
    same = unicodedata.normalize("NFKC", one)
    return same if unicodedata.decomposition(one).startswith(_SPELLINGS) and " " not in same else one


_PLAIN = _Plain()


def views(text: str) -> Iterator[View]:
    """The text itself, then in plain characters, then with its lines joined; each only where it differs."""
    yield View(text)
    plain = View(text)
    if not text.isascii() and text.translate(_PLAIN) != text:
        plain = _in_plain_characters(text)
        yield plain
    if any(end in plain.text for end in _LINE_ENDS) and _WRAPPED.search(plain.text):
        yield _joined(plain)


def _in_plain_characters(text: str) -> View:
    characters = [(one, place) for place, whole in enumerate(text) for one in _PLAIN[ord(whole)]]
    return View("".join(one for one, _ in characters), [place for _, place in characters])


def _joined(view: View) -> View:
    """The view with one space for each end of a line, and for the marks of a quoted reply after it."""
    places = range(len(view.text)) if view.places is None else view.places
    pieces: list[str] = []
    kept: list[int] = []
    done = 0
    for found in _LINE_END.finditer(view.text):
        pieces += [view.text[done : found.start()], " "]
        kept += [*places[done : found.start()], places[found.start()]]
        done = found.end()
    return View("".join([*pieces, view.text[done:]]), [*kept, *places[done:]], joined=True)
