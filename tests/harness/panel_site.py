"""The panel's pages on real servers: an audit with answered events, a broker, and the application in this process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2

from streams.adapters.clickhouse import ClickHouseConfig
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import create_topics
from streams.app.settings import Settings, read_settings
from streams.core.messages import Panel, PanelCase, PanelRater
from streams.embedded.broker import Tansu
from streams.embedded.supervisor import Supervisor
from streams.panels.publication import PanelMessage, publish
from streams.pipeline.load import Pipeline
from streams.ui.app import make_app
from streams.ui.links import LinkSigner, new_link
from streams.ui.panel.site import PanelSite
from tests.builders import call, event, outcome, reply, verdict
from tests.harness.audit import database, write
from tests.harness.panel_process import UI_KEY
from tests.harness.panels import answer, case, panel
from tests.harness.shop import shop

ORIGIN = "http://127.0.0.1:8484"
RUBRIC = """
title = "Answers of the desk"
gold = {gold}
repeats = {repeats}

[[question]]
name = "right"
ask = "Is the answer right?"
type = "yes/no"
means_right = "yes"
"""


@dataclass(frozen=True, slots=True)
class PanelServers:
    """A broker and an audit that the tests of a module share."""

    kafka: KafkaConfig
    clickhouse: ClickHouseConfig
    pipeline: Pipeline


@contextmanager
def panel_servers(directory: Path, clickhouse: str) -> Iterator[PanelServers]:
    """Start a broker, and make an audit on a ClickHouse server."""
    pipeline = shop(directory)
    with database(clickhouse) as audit, Supervisor(directory / "logs") as supervisor:
        yield PanelServers(KafkaConfig(servers=Tansu().start(supervisor)), audit, pipeline)


@dataclass
class PanelWorld:
    """One panel with topics and events of its own. Cases are about events that a worker answered."""

    servers: PanelServers
    directory: Path
    cases: int = 4
    people: tuple[str, ...] = ("anna", "ben")
    panel_values: dict[str, Any] = field(default_factory=dict)
    clock_offset: timedelta = timedelta(hours=-2)
    """Of the world's clock, which leaves room for tests that let time pass."""
    case_values: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Further fields of a case, by its number from 1."""

    def __post_init__(self) -> None:
        self.name = f"panel-{uuid4().hex[:8]}"
        read = read_settings({"ESCALON_DATA": str(self.directory), "ESCALON_UI_KEY": UI_KEY})
        self.settings: Settings = replace(
            read,
            kafka=self.servers.kafka,
            clickhouse=self.servers.clickhouse,
            topic_prefix=f"{self.name}.",
            batch_bytes=1,
            clock_offset=self.clock_offset,
        )
        create_topics(self.servers.kafka, self.settings.topic_prefix, 1, 1)
        self.drawn = [self._case(position) for position in range(1, self.cases + 1)]
        self.record(*self.drawn)
        people = tuple(PanelRater(name=one, links_from=self.settings.now()) for one in self.people)
        values = {"rubric": RUBRIC.format(gold=0, repeats=0), "raters_per_case": 1, "people": people}
        usual = {"panel": self.name, "created_at": self.settings.now(), "updated_at": self.settings.now()}
        self.panel: Panel = panel(**{**usual, **values, **self.panel_values})
        publish(self.settings, [self.panel, *self.drawn])

    def record(self, *cases: PanelCase) -> None:
        """Write the events of cases into the audit, each with its answers."""
        rows: list[Any] = []
        for one in cases:
            of = event(one.event_id, f"question of {one.event_id}", run=one.run)
            of = replace(of, origin=replace(of.origin, event_time=one.event_time))
            ended = replace(outcome(of), answer=f'"answer to {one.event_id}"', call_id=one.answers[0].call_id)
            rows += [verdict(of), ended]
        write(self.servers.clickhouse, *rows)

    def compare(self, one: PanelCase) -> PanelCase:
        """Publish a case again, now with the answers of the worker and of the reasoner."""
        of = event(one.event_id, run=one.run)
        of = replace(of, origin=replace(of.origin, event_time=one.event_time))
        made = [
            call(of, response=reply({"number": "words of the worker"})),
            call(of, "think", "reasoner", response=reply({"number": "words of the reasoner"})),
        ]
        write(self.servers.clickhouse, *made, replace(outcome(of), answer=None, call_id=made[0].call_id))
        answers = tuple(
            answer(option, call_id=by.call_id, delivered=option == "worker")
            for option, by in zip(("worker", "reasoner"), made, strict=True)
        )
        compared = replace(one, answers=answers, left="worker")
        self.put(compared)
        return compared

    def change(self, **values: Any) -> None:
        """Publish a change of the panel."""
        later = self.panel.updated_at + timedelta(seconds=1)
        self.panel = replace(self.panel, updated_at=later, **values)
        self.put(self.panel)

    def put(self, *messages: PanelMessage) -> None:
        """Publish messages."""
        publish(self.settings, messages)

    def link(self, name: str, days: float = 14) -> str:
        """Return the token of a person's link."""
        return LinkSigner(UI_KEY).token(new_link(self.name, name, self.settings.now(), timedelta(days=days)))

    @asynccontextmanager
    async def site(self) -> AsyncIterator[PanelSite]:
        """The site, loaded and following."""
        site = PanelSite(self.settings, self.servers.pipeline)
        site.load()
        await site.start()
        try:
            yield site
        finally:
            await site.close()

    def _case(self, position: int) -> PanelCase:
        usual = {"panel": self.name, "case_id": f"{self.name}-{position}", "event_id": f"{self.name}-event-{position}"}
        made = case(position, answer(), **usual)
        return replace(made, **self.case_values.get(position, {}))


@dataclass
class Browser:
    """A rater's browser: keeps cookies, and sends the origin of the pages with each form."""

    client: httpx2.AsyncClient
    page: str = ""
    status: int = 0

    @classmethod
    def of(cls, site: PanelSite) -> Browser:
        """A browser without a session."""
        transport = httpx2.ASGITransport(app=make_app({"127.0.0.1:8484"}, site), raise_app_exceptions=False)
        return cls(httpx2.AsyncClient(transport=transport, base_url=ORIGIN))

    @classmethod
    async def started(cls, site: PanelSite, token: str) -> Browser:
        """A browser in which a rater has followed a link and has a case open."""
        made = cls.of(site)
        await made.enter(token)
        await made.send("start")
        return made

    async def open(self, address: str = "/panel") -> str:
        """Load a page, and follow redirects."""
        return self._keep(await self.client.get(address, follow_redirects=True))

    async def enter(self, token: str) -> str:
        """Follow a personal link."""
        await self.open(f"/l/{token}")
        return await self.open("/panel")

    async def send(self, do: str, **fields: str) -> str:
        """Post a form of the current page, and follow redirects."""
        form = {"csrf": self.hidden("csrf"), "case": self.hidden("case"), "do": do, **fields}
        posted = await self.client.post("/panel", data=form, headers={"Origin": ORIGIN})
        return self._keep(posted if posted.status_code != 303 else await self.client.get(posted.headers["location"]))

    async def judge(self, verdict: str = "yes", **fields: str) -> str:
        """Answer the one question of the rubric."""
        return await self.send("judge", q0A=verdict, **fields)

    def hidden(self, name: str) -> str:
        """Return the value of a hidden field; empty without one."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.page)
        return found[1] if found else ""

    def _keep(self, response: httpx2.Response) -> str:
        self.page, self.status = response.text, response.status_code
        return self.page
