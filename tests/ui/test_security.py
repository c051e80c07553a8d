"""Protection against strangers, other sites and curious raters: hosts, origins, forms, links, addresses and pages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from streams.ui.panel.site import PanelSite
from streams.ui.security import BODY_BYTES, allowed_hosts
from tests.harness.panel_site import ORIGIN, RUBRIC, Browser, PanelServers, PanelWorld

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def world(servers: PanelServers, tmp_path_factory: pytest.TempPathFactory) -> PanelWorld:
    values = {"rubric": RUBRIC.format(gold=0.5, repeats=0.5), "options": ("worker", "reasoner"), "raters_per_case": 2}
    gold = {"purpose": "gold", "position": 0, "expected": "yes"}
    return PanelWorld(servers, tmp_path_factory.mktemp("data"), cases=4, panel_values=values, case_values={4: gold})


@pytest.fixture(scope="module")
def site(world: PanelWorld) -> Iterator[PanelSite]:
    """The site, loaded once; it does not follow the topics."""
    site = PanelSite(world.settings, world.servers.pipeline)
    site.load()
    yield site
    asyncio.run(site.close())


@pytest.fixture
async def anna(site: PanelSite, world: PanelWorld) -> Browser:
    """Anna, with her first case."""
    anna = await Browser.started(site, world.link("anna"))
    assert anna.hidden("case")
    return anna


async def test_every_response_forbids_scripts_from_elsewhere_frames_and_caches(anna: Browser) -> None:
    for address in ("/panel", "/l/wrong", "/nowhere", "/panel/image/none", "/static/panel.css"):
        headers = (await anna.client.get(address)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] in ("no-store", "no-cache")
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


async def test_pages_have_nothing_inline_and_nothing_from_elsewhere(anna: Browser) -> None:
    assert not re.search(
        r"<script(?![^>]*src=\"/static/)|<style|\son\w+=|\sstyle=|https?://", await anna.open("/panel")
    )


async def test_a_name_of_another_site_for_this_server_is_refused(anna: Browser) -> None:
    answer = await anna.client.get("/panel", headers={"Host": "evil.example:8484"})
    assert answer.status_code == 421
    assert "question of" not in answer.text


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1:9999"])
async def test_a_form_from_another_site_changes_nothing(anna: Browser, origin: str | None) -> None:
    form = {"csrf": anna.hidden("csrf"), "case": anna.hidden("case"), "do": "judge", "q0A": "yes"}
    answer = await anna.client.post("/panel", data=form, headers={} if origin is None else {"Origin": origin})
    assert answer.status_code == 403
    assert await anna.open("/panel")
    assert anna.hidden("case") == form["case"]


@pytest.mark.parametrize("token", ["", "0" * 64, "ä"])
async def test_a_form_without_the_token_of_its_session_changes_nothing(anna: Browser, token: str) -> None:
    case = anna.hidden("case")
    await anna.judge(csrf=token)
    assert anna.status == 400
    await anna.open("/panel")
    assert anna.hidden("case") == case


async def test_a_form_token_of_another_rater_does_not_work(anna: Browser, site: PanelSite, world: PanelWorld) -> None:
    ben = Browser.of(site)
    await ben.enter(world.link("ben"))
    await anna.judge(csrf=ben.hidden("csrf"))
    assert anna.status == 400


async def test_the_token_is_in_a_strict_cookie_and_in_no_later_address(site: PanelSite, world: PanelWorld) -> None:
    client = Browser.of(site).client
    answer = await client.get(f"/l/{world.link('anna')}")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert answer.headers["refresh"] == "0; url=/panel"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert world.link("anna")[:20] not in (await client.get("/panel")).text


async def test_a_changed_token_does_not_work(site: PanelSite, world: PanelWorld) -> None:
    token = world.link("anna")
    for changed in ("", "x", token[:-2], token.replace(".", "A.", 1), f"WyJ4{token[4:]}"):
        browser = Browser.of(site)
        browser.client.cookies.set("escalon_panel", changed)
        assert "This link does not work" in await browser.open("/panel")
        assert browser.status == 403


async def test_an_expired_link_does_not_work(
    site: PanelSite, world: PanelWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser.of(site)
    await browser.enter(world.link("anna", days=1))
    assert browser.status == 200
    monkeypatch.setattr(site, "settings", replace(site.settings, clock_offset=timedelta(days=2)))
    assert "This link has expired" in await browser.open("/panel")


async def test_a_link_of_a_person_who_is_not_in_the_panel_does_not_work(site: PanelSite, world: PanelWorld) -> None:
    browser = Browser.of(site)
    assert "replaced or withdrawn" in await browser.open(f"/l/{world.link('mallory')}")


async def test_unknown_and_foreign_cases_get_the_same_answer(anna: Browser, site: PanelSite, world: PanelWorld) -> None:
    foreign = next(one.case_id for one in world.drawn if one.case_id not in shown_to(site, world, "anna"))
    pages = []
    for case_id in (foreign, "no-such-case", "../../etc/passwd", "\x00"):
        await anna.judge(case=case_id)
        pages.append((anna.status, anna.page))
        await anna.open("/panel")
    images = [await anna.client.get(f"/panel/image/{one}") for one in (foreign, "no-such-case", anna.hidden("case"))]
    pages += [(one.status_code, one.text) for one in images]
    assert {status for status, _ in pages} == {404}
    assert len({text for _, text in pages}) == 1


async def test_pages_and_headers_reveal_nothing_about_the_origin_of_answers(site: PanelSite, world: PanelWorld) -> None:
    ben = await Browser.started(site, world.link("ben"))
    seen = []
    while ben.hidden("case"):
        answer = await ben.client.get("/panel")
        seen.append(answer.text + str(answer.headers))
        await ben.judge()
    words = ("worker", "reasoner", "outcome", "handler", "model", "live", "gold", "repeat", "probab", "weight", "call-")
    found = {word for word in words for text in seen if word in text.replace("answer to ", "")}
    assert len(seen) >= 3
    assert found == set()


async def test_a_large_body_is_refused(anna: Browser) -> None:
    assert (
        await anna.client.post("/panel", content=b"x" * (BODY_BYTES + 1), headers={"Origin": ORIGIN})
    ).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b"x" * 1024

    form = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
    assert (await anna.client.post("/panel", content=pieces(), headers=form)).status_code == 413


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"a=1&" * 2000, b"--x\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\nx"]
)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
async def test_a_broken_form_is_refused_without_an_error(anna: Browser, body: bytes, kind: str) -> None:
    answer = await anna.client.post("/panel", content=body, headers={"Origin": ORIGIN, "Content-Type": kind})
    assert answer.status_code == 400


def test_only_the_own_addresses_and_the_configured_one_are_served() -> None:
    assert allowed_hosts("127.0.0.1", 8484, "") == {"127.0.0.1:8484", "localhost:8484"}
    assert "panel.example.com" in allowed_hosts("127.0.0.1", 8484, "https://panel.example.com:443")
    everywhere = allowed_hosts("0.0.0.0", 8484, "https://Panel.example.com")  # noqa: S104
    assert everywhere == {"127.0.0.1:8484", "localhost:8484", "panel.example.com"}


def test_the_key_is_readable_by_its_owner_alone_and_stays_the_same(tmp_path: Path) -> None:
    from streams.app.settings import read_settings
    from streams.ui.links import KEY_FILE, signing_key

    settings = read_settings({"ESCALON_DATA": str(tmp_path / "data")})
    key = signing_key(settings)
    assert signing_key(settings) == key
    assert len(key) == 64
    assert (tmp_path / "data" / KEY_FILE).stat().st_mode & 0o777 == 0o600


def shown_to(site: PanelSite, world: PanelWorld, name: str) -> set[str]:
    """Return the ids of the cases that a person was given."""
    session = site.session(world.link(name))
    assert not isinstance(session, str)
    return session.assigner.board.shown[name]
