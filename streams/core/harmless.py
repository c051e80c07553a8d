"""Text from outside, made safe to show: characters that could control a terminal or a page are escaped."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Line separators and changes of writing direction; control characters are found by their category.
_UNSEEN = {"\u2028", "\u2029", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"}
_MARKS = {"\n": "⏎", "\r": "␍", "\t": " "}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""The same characters, but without line ends and tabs."""
HEX_ROW: Final = 16
"""The bytes of a line of a hexadecimal dump."""


def one_line(text: str, limit: int | None = None) -> str:
    """Return the text in one line without control characters, cut to `limit` characters and a count of the rest."""
    shown = text if limit is None else text[:limit]
    safe = "".join(_MARKS.get(char) or (_escaped(char) if unseen(char) else char) for char in shown)
    return safe if len(shown) == len(text) else f"{safe}… (+{len(text) - len(shown)})"


def lines(text: str) -> str:
    """Return the whole text with its line ends and without other control characters."""
    return "\n".join(one_line(line) for line in text.split("\n"))


def unseen(char: str) -> bool:
    """True if a character would control the terminal instead of being shown."""
    return char in _UNSEEN or unicodedata.category(char) in ("Cc", "Cs")


def harmless(text: str) -> str:
    """Escape control characters as JSON does; line ends and tabs stay."""
    return _CONTROL.sub(lambda found: _escaped(found[0]), text)


def readable_bytes(value: bytes) -> str | None:
    """Return bytes as text; None if they are not UTF-8 or hold control characters."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if any(unseen(char) for char in text if char not in "\n\r\t") else lines(text)


def hex_dump(value: bytes) -> str:
    """Return bytes in hexadecimal, HEX_ROW bytes a line with their offset and their ASCII characters."""
    rows = (value[start : start + HEX_ROW] for start in range(0, len(value), HEX_ROW))
    return "\n".join(f"{place * HEX_ROW:08x}  {row.hex(' '):<47}  {_ascii(row)}" for place, row in enumerate(rows))


def _ascii(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}"
