"""Events to publish, read from JSON lines, text or images."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.adapters.event_reader import from_object, read_text
from streams.core import exact_json
from streams.core.errors import ConfigError, UnreadableError
from streams.core.messages import RawEvent

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"})
CONTENT = ("text", "image", "data")


@dataclass(frozen=True, slots=True)
class Publishable:
    """An event to publish; `image` is a file for the blob store."""

    event: RawEvent
    image: Path | None = None


def misspelt_content(events: Sequence[Publishable]) -> str:
    """Return a caution if no event has text or an image, but one has a key that resembles these; else nothing."""
    if any(one.event.text or one.event.image or one.image for one in events):
        return ""
    for number, one in enumerate(events, 1):
        for key in exact_json.loads(one.event.data or "{}"):
            if near := difflib.get_close_matches(key.lower(), CONTENT, n=1, cutoff=0.8):
                return f"No event has text or an image. Event {number} has {key!r}, kept as data; is {near[0]!r} meant?"
    return ""


def read_source(source: str) -> Iterator[Publishable]:
    """Yield each event of a file (JSON or text, one event a line), an image, a folder of images, or `-` for stdin."""
    if source == "-":
        yield from _lines(sys.stdin, Path(), "standard input")
        return
    path = Path(source)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGES)
        if not files:
            raise ConfigError(f"{path} holds no images.", f"Supported endings: {', '.join(sorted(IMAGES))}.", "FILE")
        yield from (Publishable(RawEvent(), file) for file in files)
    elif path.suffix.lower() in IMAGES:
        yield Publishable(RawEvent(), path)
    else:
        try:
            with path.open(encoding="utf-8") as lines:
                yield from _lines(lines, path.parent, str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path} cannot be read ({error}).", "Name a UTF-8 text file or a folder.", "FILE"
            ) from error


def _lines(lines: Any, directory: Path, name: str) -> Iterator[Publishable]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _line(line.rstrip("\n"), directory)
            except UnreadableError as error:
                raise ConfigError(f"line {number}: {error.what}", error.remedy, name) from error


def _line(line: str, directory: Path) -> Publishable:
    if not line.lstrip().startswith("{"):
        return Publishable(read_text(line.encode("utf-8")))
    try:
        fields = exact_json.loads(line)
    except ValueError as error:
        raise UnreadableError(
            "invalid_json", f"it starts like JSON but is not valid ({error}).", "Fix the line."
        ) from error
    image = fields.get("image")
    if isinstance(image, str) and (directory / image).is_file():
        return Publishable(from_object({**fields, "image": None}), directory / image)
    return Publishable(from_object(fields))
