"""The identity of a CloudEvent: source and id together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.cloud_events import LONGEST, binary_id, structured_id
from streams.adapters.event_reader import from_object

CLOUD: dict[str, Any] = {"specversion": "1.0", "source": "/a", "id": "7", "type": "note"}
texts = st.text("ab/7", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, "/a 7"),
        ({"specversion": None}, None),
        ({"specversion": 1.0}, None),
        ({"source": ""}, None),
        ({"source": 5}, None),
        ({"id": None}, None),
    ],
)
def test_only_a_cloud_event_is_named_by_its_source(change: dict[str, Any], found: str | None) -> None:
    assert structured_id(CLOUD | change) == found
    headers = {f"ce_{name}": value for name, value in (CLOUD | change).items() if isinstance(value, str) and value}
    assert binary_id(headers.get) == found


@given(texts, texts, texts, texts)
def test_two_pairs_of_source_and_id_never_make_one_id(source: str, own: str, other: str, others: str) -> None:
    one, two = CLOUD | {"source": source, "id": own}, CLOUD | {"source": other, "id": others}
    assert (structured_id(one) == structured_id(two)) == ((source, own) == (other, others))


def test_a_source_of_any_length_is_within_the_limit_of_an_id() -> None:
    ids = [structured_id(CLOUD | {"source": "https://a.example/" + "x" * 500 + end}) or "" for end in "yz"]
    assert len(set(ids)) == 2
    assert all(0 < len(one) <= LONGEST for one in ids)


def test_the_attributes_stay_in_the_data() -> None:
    raw = from_object(CLOUD | {"data": {"order": 5}})
    assert raw.id == "/a 7"
    assert json.loads(raw.data or "") == {"specversion": "1.0", "source": "/a", "type": "note", "order": 5}
