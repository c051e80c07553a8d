"""Judging while the server of the pages is killed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from streams.embedded.broker import free_ports
from streams.embedded.supervisor import Supervisor
from tests.harness.panel_process import UiProcess
from tests.harness.panel_raters import LoadRater, lost_or_doubled, reach
from tests.harness.panel_site import PanelServers, PanelWorld

pytestmark = [pytest.mark.embedded, pytest.mark.slow]
CASES, KILLS = 90, 2


async def test_no_judgement_is_lost_or_doubled_and_no_case_shown_to_two_when_the_server_is_killed(
    servers: PanelServers, tmp_path: Path
) -> None:
    people = ("anna", "ben", "cleo")
    world = PanelWorld(servers, tmp_path, cases=CASES, people=people, clock_offset=timedelta())
    saved = asyncio.Semaphore(0)
    raters = [LoadRater(name, world.link(name), on_saved=saved.release) for name in people]
    with Supervisor(tmp_path / "logs") as supervisor:
        pages = UiProcess(supervisor, world.settings, servers.pipeline.path, free_ports(1)[0])
        child = await asyncio.to_thread(pages.start)
        judging = [asyncio.create_task(rater.run(pages.address)) for rater in raters]
        for _ in range(KILLS):
            await reach(saved, CASES // (KILLS + 1))
            supervisor.kill(child)
            child = await asyncio.to_thread(pages.start)
        await asyncio.gather(*judging)
    assert sum(rater.repeats for rater in raters) > 0
    assert lost_or_doubled(world, raters) == []
