"""Live parts of pages, by server-sent events: one renderer for a part and a scope, however many pages listen."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.core.errors import ConfigError, EscalonError, ServiceError
from streams.ui.operator.scope import range_hours

MOST_FEEDS: Final = 64
"""Renderers at the same time."""
MOST_LISTENERS: Final = 1000
"""Open pages that are kept up to date at the same time."""
BEAT_SECONDS: Final = 15.0
"""A comment is sent after this time without a change, so that a closed connection is noticed."""
REST: Final = 10
"""The least pause between two renderings, in times of the last one: costly parts renew themselves less often."""
SECONDS_AN_HOUR: Final = 2.0
"""The least pause for each hour of the range: of a month, the next seconds change nothing that can be seen."""
SLOWEST_SECONDS: Final = 60.0
"""The longest pause because of the range."""
Render = Callable[[Mapping[str, str]], Awaitable[str]]
_Key = tuple[str, frozenset[tuple[str, str]]]
"""The name of a fragment and the parameters of an address."""
log = logging.getLogger("escalon.ui")


@dataclass(frozen=True, slots=True)
class LiveFragment:
    """A part of pages that renders itself again after `seconds` or more, for the parameters of an address."""

    name: str
    seconds: float
    render: Render


@dataclass(slots=True)
class _Listener:
    """One open page: the newest renderings that it was not sent yet."""

    unsent: dict[str, str] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, name: str, text: str) -> None:
        self.unsent[name] = text
        self.news.set()


@dataclass(slots=True)
class _Feed:
    """One renderer and the pages that listen to it."""

    task: asyncio.Task[None]
    listeners: list[_Listener] = field(default_factory=list)
    text: str = ""


class LiveFeeds:
    """The renderers that run, each as long as a page listens."""

    def __init__(self, beat_seconds: float = BEAT_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._fragments: dict[str, LiveFragment] = {}
        self._feeds: dict[_Key, _Feed] = {}
        self._listeners: set[int] = set()
        self._beat_seconds, self._clock = beat_seconds, clock
        self._closed = asyncio.Event()

    @property
    def running(self) -> int:
        """The number of renderers."""
        return len(self._feeds)

    def add(self, fragments: Iterable[LiveFragment]) -> None:
        """Offer further fragments."""
        self._fragments.update((one.name, one) for one in fragments)

    def check(self, names: Sequence[str]) -> None:
        """Raise ConfigError for a name that no fragment has, ServiceError if too many pages listen."""
        if unknown := [name for name in names if name not in self._fragments]:
            raise ConfigError(f"there is no live part {unknown[0]!r}.", "Load the page again.", "fragments")
        if len(self._listeners) >= MOST_LISTENERS or len(self._feeds) + len(names) > MOST_FEEDS:
            raise ServiceError("Too many pages are open.", "Close some; this one shows the state when it was loaded.")

    async def listen(self, names: Sequence[str], asked: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """Yield server-sent events with each new rendering of the fragments, until the feeds are closed."""
        listener = _Listener()
        keys = [(name, frozenset(asked.items())) for name in dict.fromkeys(names)]
        self._listeners.add(id(listener))
        for key in keys:
            self._join(key, listener, asked)
        try:
            while not self._closed.is_set():
                try:
                    await asyncio.wait_for(listener.news.wait(), self._beat_seconds)
                except TimeoutError:
                    yield ": nothing new\n\n"
                    continue
                listener.news.clear()
                unsent, listener.unsent = listener.unsent, {}
                yield "".join(_event(name, text) for name, text in unsent.items())
        finally:
            self._listeners.discard(id(listener))
            for key in keys:
                self._leave(key, listener)

    def close(self) -> None:
        """End all renderers and all streams."""
        self._closed.set()
        for feed in list(self._feeds.values()):
            feed.task.cancel()
            for listener in feed.listeners:
                listener.news.set()

    def _join(self, key: _Key, listener: _Listener, asked: Mapping[str, str]) -> None:
        feed = self._feeds.get(key)
        if feed is None:
            task = asyncio.create_task(self._render(key, self._fragments[key[0]], dict(asked)))
            feed = self._feeds[key] = _Feed(task)
        feed.listeners.append(listener)
        if feed.text:
            listener.put(key[0], feed.text)

    def _leave(self, key: _Key, listener: _Listener) -> None:
        feed = self._feeds[key]
        feed.listeners.remove(listener)
        if not feed.listeners:
            feed.task.cancel()
            del self._feeds[key]

    async def _render(self, key: _Key, fragment: LiveFragment, asked: Mapping[str, str]) -> None:
        while True:
            began = self._clock()
            try:
                text = await fragment.render(asked)
            except EscalonError:  # the page keeps what it shows; the next rendering may succeed
                text = ""
            except Exception:
                log.exception("the live part %s cannot be rendered", fragment.name)
                text = ""
            feed = self._feeds[key]
            if text and text != feed.text:
                feed.text = text
                for listener in feed.listeners:
                    listener.put(fragment.name, text)
            await asyncio.sleep(pause_seconds(fragment, self._clock() - began, range_hours(asked)))


def pause_seconds(fragment: LiveFragment, took: float, hours: float) -> float:
    """Return the pause after a rendering of a range that took so many seconds."""
    return max(fragment.seconds, REST * took, min(SECONDS_AN_HOUR * hours, SLOWEST_SECONDS))


def _event(name: str, text: str) -> str:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n"
