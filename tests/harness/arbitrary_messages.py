"""Any message of any type, built from its annotations."""

from __future__ import annotations

import dataclasses
import typing
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, TypeVar

from hypothesis import strategies as st

from streams.core.messages import Message, StoredAnswer

M = TypeVar("M")
KINDS: tuple[type, ...] = (*typing.get_args(Message), StoredAnswer)

_times = st.datetimes(datetime(1900, 1, 1), datetime(2299, 12, 31), timezones=st.just(UTC))
_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=12),
    bytes: st.binary(max_size=12),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    datetime: _times,
    # Up to 24 digits, 12 of them behind the point: what the schema holds.
    Decimal: st.integers(-(10**24) + 1, 10**24 - 1).map(lambda number: Decimal(number).scaleb(-12)),
    NoneType: st.none(),
}


def any_message(kind: type[M]) -> st.SearchStrategy[M]:
    """Messages of a kind, with any values its annotations allow."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: _values(hints[field.name]) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return st.builds(kind, **fields)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, UnionType):
        return st.one_of(*map(_values, arguments))
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=2).map(tuple)
    return any_message(hint)
