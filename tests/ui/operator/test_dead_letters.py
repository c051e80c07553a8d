"""The pages of dead letters on a real broker and a real audit: what they show, and what a form does."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from streams.adapters.kafka_record import ID_HEADER
from streams.app.operator_name import operator_name
from streams.audit.dead_letters import retry as retry_module
from streams.audit.dead_letters.republish import RETRY_HEADER
from streams.audit.dead_letters.table import DeadLetterTable
from streams.audit.query import Audit
from streams.core.errors import MissingError, ServiceError, UnreadableError
from streams.core.messages import DeadLetter
from streams.ui.operator.dead_letters import SHOWN
from streams.ui.operator.frame import OperatorSite
from streams.ui.operator.letters import HEX_BYTES, MOST_RESULTS, TEXT_BYTES, FormResults, HandledLetters
from tests.harness.audit_world import World
from tests.harness.operator_pages import ORIGIN, operator_site, visitor
from tests.harness.panel_site import PanelServers

pytestmark = pytest.mark.embedded
BROKEN = b'{"text": "<b>\xff\x1b[2J'


@pytest.fixture
def world(servers: PanelServers) -> World:
    return World(servers.kafka, servers.clickhouse)


@pytest.fixture
def site(world: World, tmp_path: Path) -> Iterator[OperatorSite]:
    site = operator_site(Audit(world.clickhouse), tmp_path)
    site.settings = replace(
        site.settings, clickhouse=world.clickhouse, kafka=world.kafka, topic_prefix=world.prefix, run=world.run
    )
    yield site
    site.close()


def die(world: World, value: bytes = BROKEN, reason: str = "invalid_json") -> DeadLetter:
    """Publish a message that cannot be read, and record its dead letter."""
    before = sum(1 for _ in at(world, "events"))
    world.raw("events", value)
    letter = world.letters.letter(world.record("events", before), UnreadableError(reason, "no JSON <i>here"))
    world.write(letter)
    return letter


def at(world: World, topic: str) -> Iterator[Any]:
    """Yield the records of a topic."""
    with world.scan(world.kafka) as scan:
        yield from scan.read(world.prefix + topic, scan.marks(world.prefix + topic))


def actions(world: World) -> list[tuple[Any, ...]]:
    with closing(Audit(world.clickhouse)) as audit:
        asked = "SELECT action, operator, why FROM dead_letter_actions WHERE run = {run:String} ORDER BY acted_at"
        return [tuple(row) for row in audit.query(asked, {"run": world.run}).rows]


async def send(operator: httpx2.AsyncClient, site: OperatorSite, **form: str) -> str:
    token = {"csrf": site.signer.form_token(site.signer.operator_token())}
    answer = await operator.post("/dead-letters", data=token | form, headers={"Origin": ORIGIN}, follow_redirects=True)
    return f"{answer.status_code} {' '.join(answer.text.split())}"


async def test_the_list_and_the_letter_show_reason_headers_and_bytes(world: World, site: OperatorSite) -> None:
    letter = die(world)
    async with visitor(site) as operator:
        listed = (await operator.get(f"/dead-letters?run={world.run}&topic=events&reason=invalid_json")).text
        assert letter.dead_letter_id in listed
        assert "no JSON &lt;i&gt;here" in listed
        assert letter.dead_letter_id not in (await operator.get(f"/dead-letters?run={world.run}&state=dropped")).text
        shown = (await operator.get(f"/dead-letters/{letter.dead_letter_id}")).text
        assert "{&#34;text&#34;: &#34;&lt;b&gt;\\xff\\u001b[2J" in shown
        assert BROKEN.hex(" ")[:30] in shown
        original = await operator.get(f"/dead-letters/{letter.dead_letter_id}/original")
        assert original.content == BROKEN
        assert original.headers["content-disposition"].startswith("attachment")
        assert original.headers["x-content-type-options"] == "nosniff"


async def test_a_large_original_is_cut_on_the_page_and_whole_in_the_file(world: World, site: OperatorSite) -> None:
    value = b"x" * (2 * TEXT_BYTES)
    letter = die(world, value)
    async with visitor(site) as operator:
        shown = (await operator.get(f"/dead-letters/{letter.dead_letter_id}")).text
        assert f"{TEXT_BYTES:,} further bytes" in shown
        assert f"{len(value) - HEX_BYTES:,} further bytes" in shown
        assert (await operator.get(f"/dead-letters/{letter.dead_letter_id}/original")).content == value


async def test_reading_and_confirming_change_nothing(world: World, site: OperatorSite) -> None:
    letter = die(world)
    async with visitor(site) as operator:
        for verb in ("retry", "drop"):
            for asked in ("of=all", f"id={letter.dead_letter_id}"):
                page = (await operator.get(f"/dead-letters/confirm?run={world.run}&do={verb}&{asked}")).text
                assert "1 open dead letter will be" in page
                assert letter.dead_letter_id in page
        await operator.get(f"/dead-letters/{letter.dead_letter_id}?do=retry")
    assert actions(world) == []
    assert len(list(at(world, "events"))) == 1


async def test_a_retry_publishes_the_original_again_once_and_leaves_an_entry(world: World, site: OperatorSite) -> None:
    letter = die(world)
    async with visitor(site) as operator:
        assert "1 dead letter retried: published again and confirmed by Kafka." in await send(
            operator, site, do="retry", ids=letter.dead_letter_id
        )
        again = await send(operator, site, do="retry", ids=letter.dead_letter_id)
        assert "0 dead letters retried; 1 left as it is." in again
        assert "1: it was retried at" in again
        assert "It is not retried" in (await operator.get(f"/dead-letters/{letter.dead_letter_id}")).text
    first, second = at(world, "events")
    assert first.value() == second.value() == BROKEN
    headers = dict(second.headers())
    assert headers[ID_HEADER].decode() == letter.event_id
    assert headers[RETRY_HEADER].decode() == letter.dead_letter_id
    assert actions(world) == [("retried", operator_name(), "")]


async def test_a_drop_needs_a_reason_and_records_it(world: World, site: OperatorSite) -> None:
    letter = die(world)
    async with visitor(site) as operator:
        assert "400" in await send(operator, site, do="drop", ids=letter.dead_letter_id, why=" ")
        assert "1 dead letter dropped." in await send(
            operator, site, do="drop", ids=letter.dead_letter_id, why="a <test>"
        )
        shown = (await operator.get(f"/dead-letters/{letter.dead_letter_id}")).text
    assert "a &lt;test&gt;" in shown
    assert actions(world) == [("dropped", operator_name(), "a <test>")]


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
        assert "3 open dead letters will be retried" in page
        assert "Left as they are" in page
        ids = page.partition('name="ids" value="')[2].partition('"')[0]
        done = await send(operator, site, do="retry", ids=ids)
    assert "3 dead letters retried: published again and confirmed by Kafka." in done
    values = [record.value() for record in at(world, "events")]
    assert sorted(values[3:]) == sorted(values[:3])
    assert [one[0] for one in actions(world)] == ["retried"] * 3


async def test_the_result_of_a_form_has_an_address_so_that_a_reload_repeats_nothing(
    world: World, site: OperatorSite
) -> None:
    letter = die(world)
    form = {"csrf": site.signer.form_token(site.signer.operator_token()), "do": "retry", "ids": letter.dead_letter_id}
    async with visitor(site) as operator:
        sent = await operator.post("/dead-letters", data=form, headers={"Origin": ORIGIN})
        assert (sent.status_code, sent.headers["location"]) == (303, "/dead-letters/done/1")
        for _ in range(2):
            assert "1 dead letter retried" in (await operator.get("/dead-letters/done/1")).text
        assert (await operator.get("/dead-letters/done/2")).status_code == 404
    assert len(actions(world)) == 1
    assert len(list(at(world, "events"))) == 2


def test_the_newest_results_are_kept() -> None:
    results, handled = FormResults(), HandledLetters("dropped", 1, [])
    numbers = [results.add(handled) for _ in range(MOST_RESULTS + 1)]
    assert results.get(numbers[-1]) is results.get(numbers[1]) is handled
    with pytest.raises(MissingError):
        results.get(numbers[0])


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"do": "retry", "ids": "x"}, "404 there is no dead letter"),
        ({"do": "retry", "ids": "0" * 32}, "404 there is no dead letter"),
        ({"do": "burn", "ids": ""}, "400 the form does not say what to do"),
    ],
)
async def test_a_wrong_form_is_refused_in_words(site: OperatorSite, form: dict[str, str], said: str) -> None:
    async with visitor(site) as operator:
        answer = await send(operator, site, **form)
    status, words = said.split(maxsplit=1)
    assert answer.startswith(status)
    assert words in answer
