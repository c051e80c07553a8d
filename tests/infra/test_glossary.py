"""Each term of the glossary is where the glossary says."""

from __future__ import annotations

import re
from pathlib import Path

ROW = re.compile(r"^\| ([^|]+) \| [^|]+ \| `([\w/]+\.py)` `(\w+)` \|$")


def test_every_term_is_defined_once_and_in_its_place(root: Path) -> None:
    lines = root.joinpath("docs/glossary.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|") and not line.startswith(("| term |", "| --- |"))]
    found = [ROW.match(row) for row in rows]
    assert [row for row, match in zip(rows, found, strict=True) if match is None] == []
    terms = [match[1] for match in found if match]
    assert len(terms) > 50
    assert len(set(terms)) == len(terms)
    missing = [match[0] for match in found if match and not _defines(root / "streams" / match[2], match[3])]
    assert missing == []


def _defines(file: Path, name: str) -> bool:
    definition = rf"^(?:class|def|async def) {name}\b|^{name}\b.* = "
    return file.is_file() and re.search(definition, file.read_text("utf-8"), re.MULTILINE) is not None
