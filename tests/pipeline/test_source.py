"""The table [source]: what it accepts, and how its mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import ConfigError
from streams.pipeline.selector import at, selector
from tests.harness.pipeline_files import BASE, loaded


def with_source(table: str, header: str = "[source]") -> str:
    return f"{BASE}\n{header}\n{table}\n"


def mistake(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return str(caught.value)


def test_one_table_and_several_are_the_same(tmp_path: Path) -> None:
    one = loaded(tmp_path, with_source('topics = "orders"\ntext = "/body"')).spec.source
    assert one == loaded(tmp_path, with_source('topics = ["orders"]\ntext = ["/body"]', "[[source]]")).spec.source
    assert loaded(tmp_path, BASE).spec.source == ()


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        ('topics = ["a"]\npattern = "a"', "source:", "give either topics"),
        ("", "source:", "give either topics"),
        ('topics = ["a b"]', "source.topics:", "cannot be the name of a topic"),
        ('topics = ["a", "a"]', "source.topics:", "named twice"),
        ('pattern = "("', "source.pattern:", "not a regular expression"),
        ('topics = ["a"]\nformat = "json"', "source.format:", "Use 'plain', 'cloudevents' or 'debezium'"),
        ('topics = ["a"]\ntext = "body"', "source.text:", 'Write "/field/inner" for a field'),
        ('topics = ["a"]\nid = []', "source.id:", "the list is empty"),
        ('topics = ["a"]\ntime = ["/a", "/b"]', "source.time:", "does not name a place"),
        ('topics = ["a"]\ndata = { x = "y~2" }', "source.data:", "'y~2' does not name a place"),
        ('topics = ["a"]\nwhere = "x"', "source.where:", "write a table such as"),
        ('topics = ["a"]\nwhere = { "/a" = { b = 1 } }', "source.where:", "not a value to compare with"),
        ('topics = ["a"]\nunless = { status = 1 }', "source.unless:", "'status' does not name a place"),
        ('topics = ["a"]\ndeletes = true', "source:", 'needs format = "debezium"'),
        ('topic = ["a"]', "source.topic:", "Did you mean 'topics'?"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_the_remedy(tmp_path: Path, table: str, key: str, said: str) -> None:
    told = mistake(tmp_path, with_source(table))
    assert key in told
    assert said in told


def test_a_mistake_in_the_second_table_is_named_with_its_line(tmp_path: Path) -> None:
    text = with_source('topics = ["a"]\n[[source]]\ntopics = ["b"]\ntext = "body"', "[[source]]")
    line = text.splitlines().index('text = "body"') + 1
    told = mistake(tmp_path, text)
    assert "source.2.text:" in told
    assert f"line {line} of" in told


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_pointer_leads_to_what_it_names(path: list[str]) -> None:
    document: object = "found"
    for name in reversed(path):
        document = {name: document}
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)
    place = selector(pointer)
    assert at(document, place.path or ()) == "found"
    assert selector(str(place)) == place


@pytest.mark.parametrize(
    ("pointer", "found"),
    [("", {"a": [1, {"b": 2}]}), ("/a/0", 1), ("/a/1/b", 2), ("/a/01", None), ("/a/-", None), ("/a/2", None)],
)
def test_lists_are_counted_from_zero(pointer: str, found: object) -> None:
    assert at({"a": [1, {"b": 2}]}, selector(pointer).path or ()) == found


@pytest.mark.parametrize("text", ["topic", "header:x", "key", "key:/a/0", "key:", "/a~1b/~0", ""])
def test_a_place_is_printed_as_it_is_written(text: str) -> None:
    assert str(selector(text)) == text
