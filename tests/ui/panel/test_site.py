"""Judging on real servers, from the link to the last case."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.core.messages import Judgement
from streams.panels.panel_log import PanelLog
from streams.ui.panel.site import PanelSite
from tests.builders import event, outcome, verdict
from tests.harness.audit import write
from tests.harness.panel_site import RUBRIC, Browser, PanelServers, PanelWorld

pytestmark = pytest.mark.embedded
NewWorld = Callable[..., PanelWorld]


@pytest.fixture
def new_world(servers: PanelServers, tmp_path: Path) -> NewWorld:
    def made(**more: Any) -> PanelWorld:
        return PanelWorld(servers, tmp_path, **more)

    return made


def later(site: PanelSite, minutes: float) -> None:
    """Let time pass for the site."""
    site.settings = replace(site.settings, clock_offset=site.settings.clock_offset + timedelta(minutes=minutes))


def stored(world: PanelWorld) -> list[Judgement]:
    """All judgements in the topic, by a reader that starts afresh."""
    found: list[Judgement] = []
    log = PanelLog(world.settings)
    log.load_topics(lambda one: found.append(one) if isinstance(one, Judgement) else None)
    return found


async def test_a_rater_judges_every_case_and_each_judgement_is_in_kafka(new_world: NewWorld) -> None:
    world = new_world(cases=3)
    async with world.site() as site:
        anna = Browser.of(site)
        assert "Start" in await anna.enter(world.link("anna"))
        assert f"question of {world.drawn[0].event_id}" in await anna.send("start")
        assert f"answer to {world.drawn[0].event_id}" in anna.page
        for verdict in ("yes", "no", "yes"):
            await anna.judge(verdict, comment=f"said {verdict}")
        assert "Nothing is left for you to judge" in anna.page
        assert 'value="undo"' in anna.page
    said = {one.case_id: (one.judge, one.question, one.option, one.verdict, one.comment) for one in stored(world)}
    expected = [("anna", "right", "outcome", verdict, f"said {verdict}") for verdict in ("yes", "no", "yes")]
    assert said == dict(zip([case.case_id for case in world.drawn], expected, strict=True))


async def test_a_restarted_server_continues_where_the_rater_was(new_world: NewWorld) -> None:
    world = new_world(cases=3)
    async with world.site() as site:
        anna = await Browser.started(site, world.link("anna"))
        before = await anna.judge()
    async with world.site() as site:
        again = Browser.of(site)
        assert f"question of {world.drawn[1].event_id}" in await again.enter(world.link("anna"))
        assert again.hidden("case") == world.drawn[1].case_id
    assert f"question of {world.drawn[1].event_id}" in before


async def test_two_raters_get_different_cases(new_world: NewWorld) -> None:
    world = new_world(cases=2)
    async with world.site() as site:
        anna, ben = Browser.of(site), Browser.of(site)
        await anna.enter(world.link("anna"))
        await ben.enter(world.link("ben"))
        await anna.send("start")
        await ben.send("start")
        assert {anna.hidden("case"), ben.hidden("case")} == {case.case_id for case in world.drawn}
        await anna.judge()
        assert "Nothing to judge right now" in anna.page


async def test_a_form_that_is_sent_twice_is_one_judgement(new_world: NewWorld) -> None:
    world = new_world(cases=2)
    async with world.site() as site:
        anna = Browser.of(site)
        await anna.enter(world.link("anna"))
        first = await anna.send("start")
        await anna.judge("no")
        anna.page = first
        second = await anna.judge("no")
        assert f"question of {world.drawn[1].event_id}" in second
    assert len(stored(world)) == 1


async def test_judging_goes_on_when_the_clock_is_set_back(new_world: NewWorld) -> None:
    world = new_world(cases=3)
    async with world.site() as site:
        anna = await Browser.started(site, world.link("anna"))
        later(site, -5)
        await anna.judge("no")
        assert anna.hidden("case") == world.drawn[1].case_id
        later(site, -5)
        await anna.send("undo")
        assert anna.hidden("case") == world.drawn[0].case_id
        await anna.judge("yes")
        assert anna.hidden("case") == world.drawn[1].case_id
        later(site, -5)
        assert "You have paused" in await anna.send("pause")
    last = max(stored(world), key=lambda one: one.judged_at)
    assert (last.case_id, last.verdict) == (world.drawn[0].case_id, "yes")


async def test_a_judgement_from_a_second_tab_does_not_give_away_the_open_case(new_world: NewWorld) -> None:
    world = new_world(cases=3)
    async with world.site() as site:
        anna, ben = Browser.of(site), Browser.of(site)
        await ben.enter(world.link("ben"))
        await anna.enter(world.link("anna"))
        second_tab = await anna.send("start")
        await anna.judge("no")
        opened, anna.page = anna.hidden("case"), second_tab
        send = site._writer.send

        def sent(messages: Any) -> Any:
            if isinstance(messages[0], Judgement):
                ben_starts.set()
            return send(messages)

        ben_starts = asyncio.Event()
        site._writer.send = sent  # type: ignore[method-assign]
        judging = asyncio.create_task(anna.judge("yes"))
        await ben_starts.wait()
        await ben.send("start")
        await judging
        assert anna.hidden("case") == opened == world.drawn[1].case_id
        assert ben.hidden("case") == world.drawn[2].case_id


async def test_undo_shows_the_earlier_verdict_and_the_new_one_counts(new_world: NewWorld) -> None:
    world = new_world(cases=2)
    async with world.site() as site:
        anna = await Browser.started(site, world.link("anna"))
        await anna.judge("no", comment="not sure")
        page = await anna.send("undo")
        assert anna.hidden("case") == world.drawn[0].case_id
        assert "not sure" in page
        await anna.judge("yes")
        assert anna.hidden("case") == world.drawn[1].case_id
    async with world.site() as site:
        session = site.session(world.link("anna"))
        assert not isinstance(session, str)
        said = session.assigner.board.ratings[world.drawn[0].case_id]["anna"]
        assert [one.verdict for one in said.verdicts.values()] == ["yes"]


async def test_a_late_judgement_is_refused_when_its_place_is_taken(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    async with world.site() as site:
        anna, ben = Browser.of(site), Browser.of(site)
        await anna.enter(world.link("anna"))
        await anna.send("start")
        later(site, 11)
        await ben.enter(world.link("ben"))
        await ben.send("start")
        assert "This case has all its raters" in await anna.judge("no")
        assert anna.status == 409
        await ben.judge("yes")
    assert [(one.judge, one.verdict) for one in stored(world)] == [("ben", "yes")]


async def test_a_late_judgement_is_saved_while_its_place_is_free(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    async with world.site() as site:
        anna = await Browser.started(site, world.link("anna"))
        later(site, 11)
        assert "Nothing is left for you to judge" in await anna.judge("no")
    assert [one.verdict for one in stored(world)] == ["no"]


async def test_a_pause_gives_the_case_back(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    async with world.site() as site:
        anna, ben = Browser.of(site), Browser.of(site)
        await anna.enter(world.link("anna"))
        await anna.send("start")
        assert "You have paused" in await anna.send("pause")
        await ben.enter(world.link("ben"))
        await ben.send("start")
        assert ben.hidden("case") == world.drawn[0].case_id


async def test_renewing_keeps_a_case_open_and_its_time_running(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    async with world.site() as site:
        anna = Browser.of(site)
        await anna.enter(world.link("anna"))
        shown = await anna.send("start")
        later(site, 8)
        await anna.send("renew")
        assert anna.status == 204
        later(site, 8)
        anna.page = shown
        await anna.judge()
    (one,) = stored(world)
    assert one.seconds is not None
    assert 960 <= one.seconds < 1020


async def test_a_skipped_case_is_stored_with_its_reason(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    async with world.site() as site:
        anna = await Browser.started(site, world.link("anna"))
        await anna.send("skip", reason="I lack the knowledge to judge it", comment="a tax question")
    (one,) = stored(world)
    assert (one.kind, one.question, one.comment) == ("skip", "", "I lack the knowledge to judge it: a tax question")


async def test_an_incomplete_form_is_refused_and_nothing_is_stored(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    async with world.site() as site:
        anna = await Browser.started(site, world.link("anna"))
        await anna.send("judge", comment="no choice")
        assert anna.status == 400
    assert stored(world) == []


async def test_a_judgement_that_kafka_does_not_confirm_is_kept_on_the_page_and_saved_once_later(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world(cases=1)
    async with world.site() as site:
        anna = await Browser.started(site, world.link("anna"))
        monkeypatch.setattr("streams.ui.panel.site.SAVE_SECONDS", 0.0)
        unsaved = await anna.judge("no", comment="keep me")
        assert anna.status == 503
        assert "keep me" in unsaved
        monkeypatch.undo()
        assert "Nothing is left for you to judge" in await anna.judge("no", comment="keep me")
    times = {one.judged_at for one in stored(world)}
    assert len(times) == 1


async def test_a_paused_and_a_closed_panel_give_no_case(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    for state, words in (("paused", "The panel is paused"), ("closed", "The panel is closed")):
        world.change(state=state)
        async with world.site() as site:
            anna = Browser.of(site)
            assert words in await anna.enter(world.link("anna"))
            await anna.send("start")
            assert not anna.hidden("case")


async def test_an_erased_event_is_no_longer_shown(new_world: NewWorld) -> None:
    world = new_world(cases=2)
    async with world.site() as site:
        anna = Browser.of(site)
        await anna.enter(world.link("anna"))
        shown = await anna.send("start")
        client = world.servers.clickhouse.connect()
        client.insert(
            "erased_events_rows",
            [[world.drawn[0].event_id, "erasure-1", site.settings.now()]],
            column_names=["event_id", "erasure_id", "erased_at"],
        )
        client.close()
        site.contents.refresh([], site.settings.now())
        assert world.drawn[0].event_id not in await anna.open("/panel")
        anna.page = shown
        await anna.judge()
        assert anna.status == 410
        await anna.open("/panel")
        await anna.send("start")
        assert anna.hidden("case") == world.drawn[1].case_id


async def test_judging_goes_on_without_clickhouse(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    async with world.site() as site:
        anna = await Browser.started(site, world.link("anna"))
        site.contents._clickhouse = replace(world.servers.clickhouse, url="http://127.0.0.1:1")
        site.contents.try_refresh([], site.settings.now())
        assert "Nothing is left for you to judge" in await anna.judge()


async def test_a_comparison_stores_the_option_and_each_rater_sees_other_sides(new_world: NewWorld) -> None:
    rubric = RUBRIC.format(gold=0, repeats=0).replace('"yes/no"\nmeans_right = "yes"', '"pick"')
    world = new_world(cases=1, panel_values={"rubric": rubric, "raters_per_case": 2, "options": ("worker", "reasoner")})
    world.compare(world.drawn[0])
    async with world.site() as site:
        for name in ("anna", "ben"):
            rater = Browser.of(site)
            await rater.enter(world.link(name))
            page = await rater.send("start")
            left = "worker" if page.index(">worker<") < page.index(">reasoner<") else "reasoner"
            await rater.send("judge", q0="A")
            said = {one.judge: (one.verdict, one.left) for one in stored(world)}
            assert said[name] == (left, left)
        assert {left for _, left in said.values()} == {"worker", "reasoner"}


async def test_a_panel_whose_claim_is_decided_gives_no_more_cases(new_world: NewWorld) -> None:
    world = new_world(cases=40, panel_values={"stop": "error <= 0.5"})
    async with world.site() as site:
        anna = await Browser.started(site, world.link("anna"))
        for _ in range(30):
            await anna.judge("yes")
            await site.decide()
            if not anna.hidden("case"):
                break
        assert "The question of this panel is decided" in await anna.open("/panel")
        assert 'value="undo"' not in anna.page
        await anna.send("start")
        assert not anna.hidden("case")
    assert 0 < len(stored(world)) < 30


async def test_a_panel_that_is_made_while_the_pages_are_served_can_be_judged(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    more = replace(world.drawn[0], case_id=f"{world.name}-more", event_id=f"{world.name}-more", position=2)
    world.record(more)
    async with world.site() as site:
        arrived = asyncio.Event()
        apply = site._apply

        def applied(messages: list[Any]) -> None:
            apply(messages)
            arrived.set()

        site._apply = applied  # type: ignore[method-assign]
        world.put(more)
        await arrived.wait()
        await site.refresh()
        anna = await Browser.started(site, world.link("anna"))
        await anna.judge()
        assert f"question of {more.event_id}" in anna.page


async def test_a_panel_whose_rubric_cannot_be_read_does_not_stop_the_others(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    unreadable = replace(world.panel, panel=f"{world.name}-unreadable", rubric="no rubric")
    write(world.servers.clickhouse, unreadable)
    world.put(unreadable)
    async with world.site() as site:
        site._apply([unreadable])
        anna = await Browser.started(site, world.link("anna"))
        assert "Nothing is left for you to judge" in await anna.judge()


async def test_an_erasure_reaches_the_pages_after_an_error_in_the_work_beside_them(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    async with world.site() as site:
        again, calls = asyncio.Event(), iter([ValueError("broken")])

        async def refresh() -> None:
            for error in calls:
                site._new_cases.set()
                raise error
            again.set()

        site.refresh = refresh  # type: ignore[method-assign]
        site._new_cases.set()
        await asyncio.wait_for(again.wait(), 30)


async def test_an_answer_that_ends_in_half_a_character_is_shown(new_world: NewWorld) -> None:
    world = new_world(cases=1)
    of = event(world.drawn[0].event_id, "a question", run=world.drawn[0].run)
    of = replace(of, origin=replace(of.origin, event_time=world.drawn[0].event_time))
    cut = replace(outcome(of), answer='{"words": "cut \\ud83d"}', call_id=world.drawn[0].answers[0].call_id)
    write(world.servers.clickhouse, verdict(of), cut)
    async with world.site() as site:
        anna = Browser.of(site)
        await anna.enter(world.link("anna"))
        assert "cut ?" in await anna.send("start")
