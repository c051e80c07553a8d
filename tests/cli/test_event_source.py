from __future__ import annotations

from pathlib import Path

import pytest

from streams.cli.event_source import misspelt_content, read_source


@pytest.mark.parametrize(
    ("lines", "caution"),
    [
        ('{"txt": "hello"}', "Event 1 has 'txt', kept as data; is 'text' meant?"),
        ('{"n": 1}\n{"n": 2, "Images": "a.png"}', "Event 2 has 'Images', kept as data; is 'image' meant?"),
        ('{"txt": "hello"}\n{"text": "hello"}', ""),
        ('{"title": "hello", "content": "there", "date": "2026-11-30"}', ""),
        ("hello", ""),
    ],
)
def test_content_under_a_misspelt_key_is_noticed(tmp_path: Path, lines: str, caution: str) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(lines, "utf-8")
    found = misspelt_content(list(read_source(str(file))))
    assert found.endswith(caution)
    assert bool(found) == bool(caution)
