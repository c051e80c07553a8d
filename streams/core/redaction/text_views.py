"""Readings of a text as people type it: full-width and other digits, invisible characters, broken lines.

Each view maps its characters to their places in the original, so that a match can be hidden there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from re import compile as compiled

_MINUS_SIGNS = "−⁃﹣－"
_FULL_STOPS = "。｡"
"""Full stops of Chinese and Japanese keyboards, typed in domains as well."""
_LINE_SEPARATORS = "\x0b\x0c\x85\u2028\u2029"
_SPELLINGS = ("<wide>", "<narrow>", "<font>", "<small>", "<noBreak>", "<compat>")
"""Unicode's compatibility forms that are the same character in another shape. A half or a power is another one."""
_LINE_ENDS = ("\n", "\r", "\\n", "\\r")
_END = r"[ \t\-]*=?(?:[\r\n]|\\[rn])[>| \t\r\n]*"
_WRAPPED = compiled(
    rf"[0-9A-Za-z]{_END}[0-9A-Za-z]{{0,4}}[0-9]|[0-9]{_END}[0-9A-Za-z]|\b[0-9A-Z]{{1,4}}{_END}[0-9A-Z]{{1,4}}\b"
)
"""A line break inside what may be one number, such as an IBAN with letters. Quoted-printable mail ends a line that
continues with an equals sign."""
_LINE_END = compiled(r"[ \t]*=?(?:[\r\n]|\\[rn])+[>| \t]*")


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a text. `places` holds each character's place in the original; None if all are unchanged.

    `joined` means that line breaks were replaced by spaces.
    """

    text: str
    places: Sequence[int] | None = None
    joined: bool = False

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Map a span of this view to the original, invisible characters inside it included."""
        return (start, end) if self.places is None else (self.places[start], self.places[end - 1] + 1)


class _Plain(dict[int, str]):
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
    """Yield the text itself, then in plain characters, then with its lines joined; each only if it differs."""
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
    """Replace each line break, with the quote marks of a reply after it, by one space."""
    places = range(len(view.text)) if view.places is None else view.places
    pieces: list[str] = []
    kept: list[int] = []
    done = 0
    for found in _LINE_END.finditer(view.text):
        pieces += [view.text[done : found.start()], " "]
        kept += [*places[done : found.start()], places[found.start()]]
        done = found.end()
    return View("".join([*pieces, view.text[done:]]), [*kept, *places[done:]], joined=True)
