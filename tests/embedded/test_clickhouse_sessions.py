from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.embedded.clickhouse_protocol import QueryError
from streams.embedded.clickhouse_request import Request, User
from streams.embedded.clickhouse_sessions import EngineHandles


class FakeHandle:
    """Remembers what it was asked; the engine itself is tested through the server."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.asked: list[str] = []
        self.closed = False

    def query(self, sql: str, _format: str = "CSV", **_options: Any) -> None:
        self.asked.append(sql)

    def close(self) -> None:
        self.closed = True


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def handles(clock: Clock) -> EngineHandles:
    return EngineHandles(Path("data"), max_sessions=2, clock=clock, connect=FakeHandle)


def request(session: str = "", *, readonly: bool = False, **options: str) -> Request:
    user = User("reader" if readonly else "default", "", readonly=readonly)
    named = {"session_id": session} if session else {}
    return Request(user, {**named, **options}, {}, {}, (), "id", safe_method=False)


def test_a_request_without_a_session_gets_a_handle_of_its_own_that_is_closed(handles: EngineHandles) -> None:
    with handles.lend(request()) as one, handles.lend(request()) as other:
        assert one is not other
    assert one.closed
    assert other.closed


def test_a_readers_handle_is_made_readonly_last(handles: EngineHandles) -> None:
    with handles.lend(request(readonly=True)) as handle:
        assert handle.asked[-1] == "SET readonly = 2"


def test_a_session_keeps_its_handle_until_its_time_is_over(handles: EngineHandles, clock: Clock) -> None:
    with handles.lend(request("a")) as first:
        pass
    clock.now += 60
    with handles.lend(request("a")) as second:
        pass
    clock.now += 61
    with handles.lend(request("a")) as third:
        assert (second is first, third is first, first.closed) == (True, False, True)


def test_a_session_in_use_is_locked(handles: EngineHandles) -> None:
    with handles.lend(request("a")), pytest.raises(QueryError, match="SESSION_IS_LOCKED"), handles.lend(request("a")):
        pass


def test_two_users_do_not_share_a_session_of_one_name(handles: EngineHandles) -> None:
    with handles.lend(request("a")) as writer, handles.lend(request("a", readonly=True)) as reader:
        assert writer is not reader


def test_a_new_session_takes_the_place_of_the_one_that_rested_longest(handles: EngineHandles, clock: Clock) -> None:
    lent = {}
    for name in "abc":
        clock.now += 1
        with handles.lend(request(name)) as lent[name]:
            pass
    assert [lent[name].closed for name in "abc"] == [True, False, False]


def test_when_every_session_is_busy_a_new_one_is_refused(handles: EngineHandles) -> None:
    with (
        handles.lend(request("a")),
        handles.lend(request("b")),
        pytest.raises(QueryError, match="Too many sessions") as refused,
        handles.lend(request("c")),
    ):
        pass
    assert refused.value.status == 503


def test_a_session_time_that_is_not_a_number_is_a_bad_argument(handles: EngineHandles) -> None:
    with (
        pytest.raises(QueryError, match="not a number"),
        handles.lend(request("a", session_timeout="long")),
    ):
        pass
    with handles.lend(request("a")):
        pass
