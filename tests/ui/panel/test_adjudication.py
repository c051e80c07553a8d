from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from streams.core.messages import Judgement, PanelCase, PanelRater
from streams.panels.assignment import Assigner
from streams.ui.panel.adjudication import find_disagreements
from streams.ui.panel.judging import PanelSession
from tests.builders import START
from tests.harness.panel_site import ORIGIN, Browser, PanelServers, PanelWorld
from tests.harness.panels import answer, case, panel, said, skipped

CLARA = PanelRater(name="clara", role="adjudicator", links_from=START)
LATER = START + timedelta(days=9)


def session(*messages: Judgement | PanelCase, ordinal: int = 0, **more: Any) -> PanelSession:
    """The adjudicator's session of a panel with some cases and judgements."""
    assigner = Assigner()
    for message in (panel(**more), *messages):
        assigner.apply(message)
    return PanelSession("token", CLARA, ordinal, assigner)


def both(case_id: str, verdict: str, other: str) -> Iterator[Judgement]:
    """Whole judgements of anna and ben that differ at most in whether the answer is right."""
    for judge, chosen in (("anna", verdict), ("ben", other)):
        yield said(case_id, judge, chosen, comment=f"{judge}: {chosen}")
        yield said(case_id, judge, "2", "tone", comment=f"{judge}: {chosen}")


def test_a_case_on_which_raters_disagree_is_listed_with_the_counts_of_the_disputed_question() -> None:
    (found,) = find_disagreements(session(case(1), *both("c1", "yes", "no")))
    assert [(one.field.name, one.counts) for one in found.disputed] == [("q0A", (("yes", 1), ("no", 1)))]
    assert found.comments == ("anna: yes", "ben: no")
    assert not found.decided


def test_a_case_on_which_raters_agree_is_not_listed() -> None:
    assert not list(find_disagreements(session(case(1), *both("c1", "yes", "yes"))))


def test_a_case_that_lacks_a_rater_is_listed_only_after_the_panel_is_closed() -> None:
    one, told = case(1), list(both("c1", "yes", "no"))
    assert not list(find_disagreements(session(one, *told, raters_per_case=3)))
    assert len(list(find_disagreements(session(one, *told, raters_per_case=3, state="closed")))) == 1


def test_a_gold_case_is_never_listed() -> None:
    assert not list(find_disagreements(session(case(0, case_id="c1", purpose="gold"), *both("c1", "yes", "no"))))


def test_a_case_that_all_raters_skipped_is_listed_with_every_question() -> None:
    (found,) = find_disagreements(session(case(1), skipped("c1", "anna"), skipped("c1", "ben")))
    assert [(one.field.name, one.counts) for one in found.disputed] == [("q0A", ()), ("q1A", ())]
    assert found.comments == ("Skipped: cannot tell",)


def test_a_rater_who_skipped_takes_no_side() -> None:
    told = [*both("c1", "yes", "no")][:2]
    assert not list(find_disagreements(session(case(1), *told, skipped("c1", "ben"))))


def test_a_comparison_is_counted_by_the_sides_that_the_adjudicator_sees() -> None:
    pair = case(1, answer("worker"), answer("reasoner"), left="worker")
    told = [
        said("c1", judge, verdict, question, option=option)
        for judge, better in (("anna", "worker"), ("ben", "tie"))
        for question, verdict, option in (
            ("right", "yes", "worker"), ("right", "yes", "reasoner"), ("tone", "2", "worker"),
            ("tone", "2", "reasoner"), ("better", better, ""),
        )
    ]  # fmt: skip
    for ordinal, side in ((0, "A"), (1, "B")):
        (found,) = find_disagreements(session(pair, *told, ordinal=ordinal, options=("worker", "reasoner")))
        assert [one.counts for one in found.disputed] == [((side, 1), ("tie", 1))]


def test_a_decision_of_every_disputed_question_settles_a_case() -> None:
    decision = said("c1", "clara", "no", kind="adjudication", judged_at=LATER)
    (found,) = find_disagreements(session(case(1), *both("c1", "yes", "no"), decision))
    assert found.decided


@pytest.fixture(scope="module")
def world(servers: PanelServers, tmp_path_factory: pytest.TempPathFactory) -> PanelWorld:
    """A panel with three cases: two disagreements, and between them one case on which the raters agree."""
    people = tuple(PanelRater(name=name, links_from=START) for name in ("anna", "ben"))
    values = {"people": (*people, CLARA), "raters_per_case": 2, "rubric_id": "r"}
    made = PanelWorld(servers, tmp_path_factory.mktemp("adjudication"), cases=3, panel_values=values)
    told = [
        said(of.case_id, judge, chosen, panel=made.name, event_id=of.event_id, comment=f"It is {chosen}. <b>")
        for of, verdicts in zip(made.drawn, (("yes", "no"), ("no", "no"), ("no", "yes")), strict=True)
        for judge, chosen in zip(("anna", "ben"), verdicts, strict=True)
    ]
    made.put(*told)
    return made


@pytest.mark.embedded
async def test_a_decision_is_a_judgement_of_its_own_kind_and_leads_to_the_next_disagreement(world: PanelWorld) -> None:
    first, _, last = world.drawn
    async with world.site() as site:
        clara = Browser.of(site)
        page = await clara.enter(world.link("clara"))
        assert "2 to decide" in page
        assert "anna" not in page
        assert "ben" not in page
        page = await clara.open("/panel/disagreements/next")
        assert f"question of {first.event_id}" in page
        assert "It is no. &lt;b&gt;" in page
        form = {"csrf": clara.hidden("csrf"), "do": "adjudicate", "q0A": "no", "comment": "The sheet says so."}
        address = f"/panel/disagreements/{first.case_id}"
        posted = await clara.client.post(address, data=form, headers={"Origin": ORIGIN})
        assert posted.headers["location"] == "/panel/disagreements/next"
        assert f"question of {last.event_id}" in await clara.open("/panel/disagreements/next")
        assert "1 decided" in await clara.open("/panel/disagreements")
        assert ">The sheet says so.</textarea>" in await clara.open(address)
    async with world.site() as site:
        found = site.session(world.link("clara"))
        assert isinstance(found, PanelSession)
        (decision,) = found.assigner.board.decisions[first.case_id].verdicts.values()
    assert (decision.kind, decision.judge, decision.option) == ("adjudication", "clara", "outcome")
    assert (decision.question, decision.verdict) == ("right", "no")


@pytest.mark.embedded
async def test_a_decision_without_a_verdict_or_without_its_token_is_refused(world: PanelWorld) -> None:
    last = world.drawn[-1]
    async with world.site() as site:
        clara = Browser.of(site)
        await clara.enter(world.link("clara"))
        await clara.open(f"/panel/disagreements/{last.case_id}")
        token = clara.hidden("csrf")
        for form in ({"csrf": token, "do": "adjudicate"}, {"csrf": "x", "do": "adjudicate", "q0A": "no"}):
            posted = await clara.client.post(
                f"/panel/disagreements/{last.case_id}", data=form, headers={"Origin": ORIGIN}
            )
            assert posted.status_code == 400
        found = site.session(world.link("clara"))
        assert isinstance(found, PanelSession)
        assert last.case_id not in found.assigner.board.decisions


@pytest.mark.embedded
async def test_a_rater_finds_no_disagreements(world: PanelWorld) -> None:
    async with world.site() as site:
        anna = Browser.of(site)
        await anna.enter(world.link("anna"))
        for address in (
            "/panel/disagreements",
            "/panel/disagreements/next",
            f"/panel/disagreements/{world.drawn[0].case_id}",
        ):
            await anna.open(address)
            assert anna.status == 404
