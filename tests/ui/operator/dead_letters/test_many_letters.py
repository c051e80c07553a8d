"""Many dead letters at once: pages of the list, those that are ticked, and all of a selection."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import pytest

from streams.audit.dead_letters import retry as retry_module
from streams.audit.dead_letters.table import DeadLetterTable
from streams.core.errors import MissingError, ServiceError
from streams.ui.operator.dead_letters import SHOWN
from streams.ui.operator.frame import OperatorSite
from streams.ui.operator.letters import MOST_RESULTS, FormResults, HandledLetters
from tests.harness.audit_world import World
from tests.harness.dead_letter_pages import actions, at, die, send
from tests.harness.operator_pages import visitor

pytestmark = pytest.mark.embedded


async def test_all_of_a_selection_are_handled_and_no_other(world: World, site: OperatorSite) -> None:
    meant = [die(world, b"{%d" % number) for number in range(3)]
    die(world, b"other", reason="bad_event")
    async with visitor(site) as operator:
        page = (await operator.get(f"/dead-letters/confirm?run={world.run}&of=all&do=drop&reason=invalid_json")).text
        ids = page.partition('name="ids" value="')[2].partition('"')[0]
        assert set(ids.split()) == {one.dead_letter_id for one in meant}
        assert "3 dead letters dropped." in await send(operator, site, do="drop", ids=ids, why="tests")
    assert len(actions(world)) == 3


async def test_the_ticked_letters_are_handled_and_no_other(world: World, site: OperatorSite) -> None:
    one, two, three = (die(world, b"{%d" % number) for number in range(3))
    async with visitor(site) as operator:
        nothing = await operator.get(f"/dead-letters/confirm?run={world.run}&do=drop")
        assert (nothing.status_code, "no dead letter is selected" in nothing.text) == (400, True)
        assert "1 dead letter dropped." in await send(operator, site, do="drop", ids=three.dead_letter_id, why="tests")
        ids = "&".join(f"id={letter.dead_letter_id}" for letter in (one, three))
        page = (await operator.get(f"/dead-letters/confirm?run={world.run}&do=drop&{ids}")).text
        assert "1 open dead letter will be dropped" in page
        assert "1: it was already dropped" in page
        assert f'name="ids" value="{one.dead_letter_id}"' in page
        assert two.dead_letter_id not in page


async def test_pages_of_the_list_hold_each_letter_once_and_tick_the_open_ones(world: World, site: OperatorSite) -> None:
    first = die(world)
    for number in range(SHOWN):
        world.write(replace(first, dead_letter_id=f"{number:032x}", event_id=f"e{number}"))
    async with visitor(site) as operator:
        assert "1 dead letter dropped." in await send(operator, site, do="drop", ids="0" * 32, why="tests")
        seen, address = list[str](), f"/dead-letters?run={world.run}&topic=events"
        for older, open_ones in ((True, SHOWN), (False, 0)):
            page = (await operator.get(f"{address}&tick=all")).text
            picked = re.findall(r'type="checkbox" name="id" value="(\w+)"[^>]* checked', page)
            assert len(picked) == open_ones
            seen += re.findall(r'class="id" href="/dead-letters/(\w+)"', page)
            assert ("Older ones" in page, "Back to the newest" in page) == (older, not older)
            address = html.unescape((re.findall(r'href="([^"]+)">Older ones', page) or [""])[0])
        assert (len(seen), len(set(seen))) == (SHOWN + 1, SHOWN + 1)
        assert (await operator.get("/dead-letters?after=x")).status_code == 400


async def test_what_was_retried_before_an_error_is_reported(
    world: World, site: OperatorSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_module, "BATCH", 1)
    one, two = die(world, b"{1"), die(world, b"{2")
    recorded: list[Any] = []
    record = DeadLetterTable.record

    def once(table: DeadLetterTable, actions: Any) -> None:
        if recorded:
            raise ServiceError("ClickHouse went away.", "Start it.")
        recorded.extend(actions)
        record(table, actions)

    monkeypatch.setattr(DeadLetterTable, "record", once)
    async with visitor(site) as operator:
        answer = await send(operator, site, do="retry", ids=f"{one.dead_letter_id} {two.dead_letter_id}")
        assert "200" in answer
        assert "1 dead letter retried: published again and confirmed by Kafka; 1 left as it is." in answer
        assert "It stopped early: ClickHouse went away. Start it." in answer
        assert "1: it was not confirmed before the error" in answer
        (left,) = {one.dead_letter_id, two.dead_letter_id} - {action.dead_letter_id for action in recorded}
        assert f'href="/dead-letters/{left}"' in answer
        assert "503" in await send(operator, site, do="retry", ids=left)


async def test_many_letters_are_retried_by_their_form_and_those_that_may_not_be_are_left(
    world: World, site: OperatorSite
) -> None:
    meant = [die(world, b"{%d" % number) for number in range(3)]
    foreign = replace(meant[0], dead_letter_id="f" * 32, topic="elsewhere", event_id="elsewhere")
    world.write(foreign)
    async with visitor(site) as operator:
        page = (await operator.get(f"/dead-letters/confirm?run={world.run}&of=all&do=retry")).text
        assert "4 open dead letters will be retried" in page
        ids = page.partition('name="ids" value="')[2].partition('"')[0]
        done = await send(operator, site, do="retry", ids=ids)
    assert "3 dead letters retried: published again and confirmed by Kafka; 1 left as it is." in done
    assert "No [source] of the pipeline reads elsewhere now." in done
    values = [record.value() for record in at(world, "events")]
    assert sorted(values[3:]) == sorted(values[:3])
    assert [one[0] for one in actions(world)] == ["retried"] * 3


def test_the_newest_results_are_kept() -> None:
    results, handled = FormResults(), HandledLetters("dropped", 1, [])
    numbers = [results.add(handled) for _ in range(MOST_RESULTS + 1)]
    assert results.get(numbers[-1]) is results.get(numbers[1]) is handled
    with pytest.raises(MissingError):
        results.get(numbers[0])
