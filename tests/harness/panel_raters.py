"""Raters that judge over HTTP as fast as asked, and remember which cases they saw and which judgements were saved."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from streams.core.fingerprint import draw
from streams.panels.panel_log import PanelLog
from tests.harness.panel_site import PanelWorld

_HIDDEN = re.compile(r'name="(csrf|case)" value="([^"]*)"')
ENDS = ("Nothing is left for you to judge", "The question of this panel is decided", "The panel is closed")
WAITS = ("Nothing to judge right now", "The panel cannot be reached right now")
PAUSE_SECONDS = 0.1


@dataclass
class LoadRater:
    """One person with a browser that keeps connections and cookies, and posts again what is not saved yet."""

    name: str
    token: str
    think: Callable[[random.Random], float] = lambda _: 0.0
    """Seconds between a page and its judgement."""
    most: int = 10**9
    """The cases after which the rater stops."""
    on_saved: Callable[[], None] = lambda: None
    shown: set[str] = field(default_factory=set)
    saved: dict[str, str] = field(default_factory=dict)
    """By case, the verdict that the server has confirmed."""
    refused: int = 0
    repeats: int = 0
    """Requests that were sent again."""
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"page": [], "judge": []})
    """Response times of pages and of judgements."""

    async def run(self, address: str) -> None:
        """Judge until there is nothing left."""
        self._draw = random.Random(self.name)
        connector = aiohttp.TCPConnector(limit=2)
        headers = {"Cookie": f"escalon_panel={self.token}", "Origin": address}
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(address, connector=connector, headers=headers, timeout=timeout) as client:
            while len(self.saved) < self.most:
                page = await self._request(client, "GET", "page")
                if any(words in page for words in ENDS):
                    return
                hidden = dict(_HIDDEN.findall(page))
                if hidden.get("case"):
                    await self._judge(client, hidden)
                elif 'value="start"' in page:
                    await self._request(client, "POST", "page", {"csrf": hidden["csrf"], "do": "start"})
                else:
                    assert any(words in page for words in WAITS), page[:2000]
                    await asyncio.sleep(PAUSE_SECONDS)

    async def _judge(self, client: aiohttp.ClientSession, hidden: dict[str, str]) -> None:
        case = hidden["case"]
        self.shown.add(case)
        await asyncio.sleep(self.think(self._draw))
        verdict = "yes" if draw(self.name, case) < 0.5 else "no"
        if await self._request(client, "POST", "judge", {**hidden, "do": "judge", "q0A": verdict}) == "saved":
            self.saved[case] = verdict
            self.on_saved()
        else:
            self.refused += 1

    async def _request(
        self, client: aiohttp.ClientSession, method: str, kind: str, form: dict[str, str] | None = None
    ) -> str:
        """Return a page, or `saved` for a redirect; send again what gets no answer or a 503."""
        while True:
            began = time.perf_counter()
            try:
                async with client.request(method, "/panel", data=form, allow_redirects=False) as response:
                    text = await response.text()
                    if response.status != 503:
                        self.seconds[kind].append(time.perf_counter() - began)
                        return "saved" if response.status == 303 else text
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                pass
            self.repeats += 1
            await asyncio.sleep(PAUSE_SECONDS)


async def reach(saved: asyncio.Semaphore, count: int) -> None:
    """Wait for a number of further judgements; `saved` is released for each."""
    for _ in range(count):
        await saved.acquire()


def lost_or_doubled(world: PanelWorld, raters: Sequence[LoadRater]) -> list[str]:
    """Return what is wrong with the judgements in the topics, in words: nothing if all are as the raters saved them."""
    kept = PanelLog(world.settings)
    kept.load_topics(kept.apply)
    assigner = kept.panels[world.name]
    found = {(case, judge): said for case, by in assigner.board.ratings.items() for judge, said in by.items()}
    saved = {(case, rater.name): verdict for rater in raters for case, verdict in rater.saved.items()}
    wrong = [f"{key} is lost" for key in saved.keys() - found.keys()]
    wrong += [f"{key} was never confirmed" for key in found.keys() - saved.keys()]
    for key in saved.keys() & found.keys():
        verdicts = [one.verdict for one in found[key].verdicts.values()]
        wrong += [f"{key} is {verdicts} instead of {saved[key]}"] if verdicts != [saved[key]] else []
    shown = Counter(case for rater in raters for case in rater.shown)
    wrong += [f"{case} was shown to {many}" for case, many in shown.items() if many > assigner.panel.raters_per_case]
    judged = Counter(case for case, _ in found)
    missing = [case.case_id for case in world.drawn if judged[case.case_id] < assigner.panel.raters_per_case]
    return wrong + [f"{case} has too few judgements" for case in missing]
