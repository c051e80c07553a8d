"""Live parts: one renderer for all who listen to the same, and none without a listener."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import pytest

from streams.core.errors import ConfigError, ServiceError
from streams.ui.operator.live import LiveFeeds, LiveFragment, pause_seconds
from streams.ui.operator.scope import range_hours


class Renderer:
    """A part that a test changes, and that counts its renderings."""

    def __init__(self) -> None:
        self.text = "first"
        self.error: Exception | None = None
        self.rendered = asyncio.Semaphore(0)
        self.count = 0

    async def __call__(self, asked: Mapping[str, str]) -> str:
        self.count += 1
        self.rendered.release()
        if self.error is not None:
            raise self.error
        return f"{asked.get('run', 'live')}\n{self.text}"


def feeds_of(part: Renderer, beat_seconds: float = 60.0) -> LiveFeeds:
    feeds = LiveFeeds(beat_seconds)
    feeds.add([LiveFragment("flow", 0.0, part)])
    return feeds


def listening(feeds: LiveFeeds, **asked: str) -> aclosing[AsyncGenerator[str, None]]:
    return aclosing(feeds.listen(["flow"], asked))


async def test_each_change_is_sent_once_and_line_by_line() -> None:
    part = Renderer()
    async with listening(feeds_of(part)) as events:
        assert await anext(events) == "event: flow\ndata: live\ndata: first\n\n"
        part.text = "second"
        assert await anext(events) == "event: flow\ndata: live\ndata: second\n\n"


async def test_pages_with_the_same_scope_share_a_renderer_and_others_do_not() -> None:
    feeds = feeds_of(Renderer())
    async with listening(feeds) as one, listening(feeds) as same, listening(feeds, run="again") as other:
        texts = [await anext(events) for events in (one, same, other)]
        assert feeds.running == 2
    assert texts[0] == texts[1] != texts[2]


async def test_a_renderer_ends_with_its_last_listener() -> None:
    part = Renderer()
    feeds = feeds_of(part)
    async with listening(feeds) as one:
        await anext(one)
        async with listening(feeds) as two:
            await anext(two)
        assert feeds.running == 1
    assert feeds.running == 0
    for _ in range(5):
        await asyncio.sleep(0)
    seen = part.count
    for _ in range(20):
        await asyncio.sleep(0)
    assert part.count == seen


async def test_a_failed_rendering_keeps_the_page_and_the_next_one_is_sent() -> None:
    part = Renderer()
    async with listening(feeds_of(part)) as events:
        await anext(events)
        part.error = ServiceError("ClickHouse did not answer.")
        for _ in range(3):
            await part.rendered.acquire()
        part.error, part.text = None, "again"
        assert "again" in await anext(events)


async def test_a_listener_that_hears_nothing_gets_a_comment() -> None:
    async with listening(feeds_of(Renderer(), beat_seconds=0.001)) as events:
        await anext(events)
        assert await anext(events) == ": nothing new\n\n"


async def test_closing_ends_every_stream() -> None:
    feeds = feeds_of(Renderer())
    async with listening(feeds) as events:
        await anext(events)
        feeds.close()
        assert [text async for text in events if text] == []


async def test_unknown_parts_and_too_many_pages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = feeds_of(Renderer())
    with pytest.raises(ConfigError, match="no live part 'x'"):
        feeds.check(["x"])
    monkeypatch.setattr("streams.ui.operator.live.MOST_LISTENERS", 1)
    async with listening(feeds) as events:
        await anext(events)
        with pytest.raises(ServiceError, match="Too many pages"):
            feeds.check(["flow"])


async def test_a_costly_part_renews_itself_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    paused = asyncio.Queue[float]()
    times = iter([100.0, 103.0])

    def clock() -> float:
        return next(times)

    async def pause(seconds: float) -> None:
        paused.put_nowait(seconds)
        await asyncio.Event().wait()

    feeds = LiveFeeds(clock=clock)
    feeds.add([LiveFragment("flow", 2.0, Renderer())])
    monkeypatch.setattr("streams.ui.operator.live.asyncio.sleep", pause)
    async with listening(feeds) as events:
        await anext(events)
        assert await paused.get() == 30.0


def test_a_cheap_part_keeps_its_interval() -> None:
    part = LiveFragment("flow", 2.0, Renderer())
    assert [pause_seconds(part, took, hours=1) for took in (0.0, 0.1, 0.5)] == [2.0, 2.0, 5.0]


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        ({}, 2.0), ({"hours": "6"}, 12.0), ({"hours": "720"}, 60.0), ({"hours": "x"}, 2.0),
        ({"since": "2026-11-01T09:00", "until": "2026-11-01T19:00"}, 20.0), ({"since": "2026-11-01"}, 60.0),
    ],
)  # fmt: skip
def test_a_long_range_is_rendered_less_often(asked: Mapping[str, str], pause: float) -> None:
    assert pause_seconds(LiveFragment("flow", 2.0, Renderer()), 0.1, range_hours(asked)) == pause
