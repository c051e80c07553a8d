"""One dead letter on its page, and what its forms do, on a real broker and a real audit."""

from __future__ import annotations

import pytest

from streams.adapters.kafka_record import ID_HEADER, RETRY_HEADER
from streams.app.operator_name import operator_name
from streams.ui.operator.frame import OperatorSite
from streams.ui.operator.letters import HEX_BYTES, TEXT_BYTES
from tests.harness.audit_world import World
from tests.harness.dead_letter_pages import BROKEN, actions, at, die, send
from tests.harness.operator_pages import ORIGIN, visitor

pytestmark = pytest.mark.embedded


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
