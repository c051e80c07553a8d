"""Case texts in a form that people read well: conversations by turn, JSON as rows, and the words that differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, Final

MAX_TEXT: Final = 50_000
"""Characters of one text that a page shows."""
MAX_ROWS: Final = 200
_MAX_COMPARED: Final = 100_000
"""Pairs of words up to which every word can begin a match; in longer texts frequent words cannot, to save time."""
_MAX_MARKED: Final = 60_000
"""Characters of two answers up to which their different words are marked."""
_CONTROLS: Final = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), 127, *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)],
    " ",
)
"""Control characters, the marks that change the direction of all further text, and halves of characters."""
_SPEAKER: Final = re.compile(r"([^\W\d_][\w .'-]{0,30}):[ \t]+(?=\S)")
_TOKEN: Final = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")
"""A word or a sign with the white space before it, or the white space at the end."""
_TURN_LISTS: Final = ("messages", "conversation", "turns", "thread")
_SPEAKER_KEYS: Final = ("role", "speaker", "from", "author", "sender")
_WORD_KEYS: Final = ("content", "text", "message", "body")


@dataclass(frozen=True, slots=True)
class Turn:
    """One contribution to a conversation, or a whole document without a speaker."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text, and whether the other answer has different words there."""

    text: str
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A named value of an answer or of an event's data. The name is empty for a plain text."""

    name: str
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The whole value."""
        return "".join(piece.text for piece in self.pieces)


def turns_of(text: str) -> tuple[Turn, ...]:
    """Split a text into the turns of a conversation if each begins a line with its speaker; else return it whole.

    A text counts as a conversation if it begins with a speaker, has at least three turns, and a speaker returns.
    """
    text = shown(text).strip()
    parts: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        if found := _SPEAKER.match(line):
            parts.append((found[1], [line[found.end() :]]))
        elif not parts:
            return (Turn("", text),) if text else ()
        else:
            parts[-1][1].append(line)
    speakers = {speaker for speaker, _ in parts}
    if len(parts) < 3 or not 1 < len(speakers) < len(parts):
        return (Turn("", text),)
    return tuple(Turn(speaker, "\n".join(lines).strip()) for speaker, lines in parts)


def data_of(data: str | None) -> tuple[tuple[Turn, ...], tuple[Row, ...]]:
    """Return the conversation in an event's JSON data, if it has one, and its other fields as rows."""
    value = _parsed(data or "")
    if not isinstance(value, dict):
        return (), answer_rows(data) if data else ()
    key = next((key for key in _TURN_LISTS if _is_conversation(value.get(key))), None)
    turns = tuple(_turn(one) for one in value[key]) if key else ()
    rest = {name: one for name, one in value.items() if name != key}
    return turns, tuple(Row(name, (Piece(text),)) for name, text in _limited(_rows(rest, "")))


def answer_rows(text: str) -> tuple[Row, ...]:
    """Return a JSON object by field, and any other answer as one row without a name."""
    return tuple(Row(name, (Piece(words),)) for name, words in _answer(text))


@lru_cache(maxsize=256)
def compared_rows(a: str, b: str) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Return the rows of two answers with the words marked that the other one does not have in that place.

    In very long answers nothing is marked, because comparing them would hold up the other raters.
    """
    if len(a) + len(b) > _MAX_MARKED:
        return answer_rows(a), answer_rows(b)
    left, right = dict(_answer(a)), dict(_answer(b))
    compared = {name: _compared(left.get(name, ""), right.get(name, "")) for name in left | right}
    return (
        tuple(Row(name, compared[name][0]) for name in left),
        tuple(Row(name, compared[name][1]) for name in right),
    )


def shown(text: str) -> str:
    """Replace control characters by spaces, and shorten a very long text."""
    text = text.replace("\r\n", "\n").translate(_CONTROLS)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\n… ({len(text) - MAX_TEXT:,} more characters)"


def excerpt(text: str, length: int = 160) -> str:
    """Return the beginning of a text on one line."""
    line = " ".join(shown(text[: 4 * length]).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def excerpt_of(text: str, data: str, *, has_image: bool) -> str:
    """Return the beginning of a case; of one without a text that it has an image, and what its data say."""
    if text:
        return excerpt(text)
    talk, fields = data_of(data)
    said = [turn.text for turn in talk] or [f"{row.name}: {row.text}" for row in fields]
    return excerpt(" · ".join(["Image", *said] if has_image else said))


def _answer(text: str) -> list[tuple[str, str]]:
    value = _parsed(text)
    return _limited(_rows(value, "")) if isinstance(value, dict) and value else [("", shown(_scalar(value)))]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _rows(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Flatten nested values; the name of an inner one holds those around it."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _rows(inner, f"{name} › {key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for number, inner in enumerate(value, 1):
            yield from _rows(inner, f"{name} {number}".strip())
    elif isinstance(value, list):
        yield name, "\n".join(map(_scalar, value)) or "–"
    else:
        yield name, _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value == {}:
        return "–"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)


def _limited(rows: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    found = [(shown(name), shown(text)) for name, text in rows]
    more = len(found) - MAX_ROWS
    return found if more <= 0 else [*found[:MAX_ROWS], ("…", f"{more:,} more fields")]


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_part(one, _WORD_KEYS) is not None for one in value)


def _turn(one: Mapping[str, Any]) -> Turn:
    return Turn(excerpt(_part(one, _SPEAKER_KEYS) or "–", 40), shown(_part(one, _WORD_KEYS) or ""))


def _part(one: Any, keys: Sequence[str]) -> str | None:
    found = (one[key] for key in keys if isinstance(one.get(key), str)) if isinstance(one, dict) else iter(())
    return next(found, None)


def _compared(a: str, b: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    left, right = _TOKEN.findall(a), _TOKEN.findall(b)
    long = len(left) * len(right) > _MAX_COMPARED
    matcher = SequenceMatcher(None, [one.strip() for one in left], [one.strip() for one in right], autojunk=long)
    pieces: tuple[list[Piece], list[Piece]] = ([], [])
    for tag, i, j, k, m in matcher.get_opcodes():
        pieces[0].extend(_marked("".join(left[i:j]), tag != "equal"))
        pieces[1].extend(_marked("".join(right[k:m]), tag != "equal"))
    return tuple(pieces[0]), tuple(pieces[1])


def _marked(text: str, differs: bool) -> Iterator[Piece]:
    """Yield a part of a text; the white space around different words is not marked."""
    inner = text.strip()
    if not differs or not inner:
        parts = [Piece(text)]
    else:
        before, _, after = text.partition(inner)
        parts = [Piece(before), Piece(inner, True), Piece(after)]
    yield from (piece for piece in parts if piece.text)
