"""People who judge on Apache Kafka while the pages' server, the broker and ClickHouse are killed."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from pathlib import Path

import pytest

from streams.adapters.clickhouse import ClickHouseConfig, migrate
from streams.adapters.kafka import KafkaConfig
from streams.embedded.broker import ApacheKafka, free_ports
from streams.embedded.stack import EmbeddedStack, start_clickhouse
from streams.embedded.supervisor import module_command
from streams.packaged_files import resource
from streams.panels.publication import await_recorded
from tests.harness.panel_process import UiProcess
from tests.harness.panel_raters import LoadRater, lost_or_doubled, reach
from tests.harness.panel_site import PanelServers, PanelWorld
from tests.harness.shop import shop

pytestmark = [pytest.mark.embedded, pytest.mark.faults]
CASES, RATERS_PER_CASE, KILLS = 420, 2, 20
PEOPLE = ("anna", "ben", "cleo", "dora")
VICTIMS = ("ui", "kafka", "clickhouse")


def think(draw: random.Random) -> float:
    """Return seconds of thought, so that the raters are at different places when a server is killed."""
    return draw.uniform(0, 0.1)


def kill_and_restart(stack: EmbeddedStack, broker: ApacheKafka, pages: UiProcess, victim: str) -> None:
    """SIGKILL a server, and start it where it was."""
    stack.supervisor.kill(stack.supervisor.child(victim))
    if victim == "ui":
        pages.start()
    elif victim == "kafka":
        broker.start(stack.supervisor, int(stack.addresses.kafka.rpartition(":")[2]))
    else:
        start_clickhouse(stack.supervisor, pages.settings.data_dir, int(stack.addresses.clickhouse.rpartition(":")[2]))


async def test_twenty_kills_lose_and_double_no_judgement_and_show_no_case_to_more_raters_than_asked_for(
    kafka_home: Path, tmp_path: Path
) -> None:
    broker = ApacheKafka(kafka_home, resource("kafka"), tmp_path / "kafka")
    with EmbeddedStack(tmp_path, broker) as stack:
        clickhouse = ClickHouseConfig(url=stack.addresses.clickhouse)
        migrate(clickhouse)
        servers = PanelServers(KafkaConfig(servers=stack.addresses.kafka), clickhouse, shop(tmp_path))
        values = {"raters_per_case": RATERS_PER_CASE}
        world = PanelWorld(servers, tmp_path, cases=CASES, people=PEOPLE, panel_values=values, clock_offset=timedelta())
        saved = asyncio.Semaphore(0)
        raters = [LoadRater(name, world.link(name), think, on_saved=saved.release) for name in PEOPLE]
        pages = UiProcess(stack.supervisor, world.settings, servers.pipeline.path, free_ports(1)[0])
        stack.supervisor.spawn("record", [*module_command("streams"), "worker", "record"], pages.environment)
        await asyncio.to_thread(pages.start)
        judging = [asyncio.create_task(rater.run(pages.address)) for rater in raters]
        for number in range(KILLS):
            await reach(saved, CASES * RATERS_PER_CASE // (KILLS + 1))
            await asyncio.to_thread(kill_and_restart, stack, broker, pages, VICTIMS[number % len(VICTIMS)])
        await asyncio.gather(*judging)
        assert sum(rater.repeats for rater in raters) > 0
        assert lost_or_doubled(world, raters) == []
        await asyncio.to_thread(await_recorded, world.settings)
        assert recorded(clickhouse, world.name) == {(case, one.name) for one in raters for case in one.saved}


def recorded(clickhouse: ClickHouseConfig, panel: str) -> set[tuple[str, str]]:
    """Return the case and the judge of each judgement in the audit."""
    client = clickhouse.connect(readonly=True)
    try:
        sql = "SELECT case_id, judge FROM panel_judgements WHERE panel = {panel:String}"
        rows = client.query(sql, {"panel": panel}).result_rows
    finally:
        client.close()
    assert len(rows) == len(set(rows))
    return set(rows)
