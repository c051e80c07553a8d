"""The operator's session: no page without it, no change without its form's token, and no secret in its answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from streams.app.settings import read_settings
from streams.ui.app import make_app
from streams.ui.links import LinkSigner, new_link, operator_link
from streams.ui.operator.frame import OperatorSite
from streams.ui.operator.guard import OPERATOR_COOKIE
from streams.ui.security import Protected
from tests.harness.operator_pages import OPERATOR_KEY, ORIGIN, FakeAudit, operator_site, visitor

PUBLIC = {"/o/{token}", "/favicon.ico", "/static"}
"""The paths that are open without a session: the link itself, and files that are the same for everyone."""


AUDIT = FakeAudit()


@pytest.fixture
def site(tmp_path: Path) -> OperatorSite:
    AUDIT.asked.clear()
    return operator_site(AUDIT, tmp_path)


def routes_of(site: OperatorSite) -> Iterator[Route]:
    """Every route of the application that is not public, so that a new page cannot be forgotten."""
    protected = make_app(set(), operator=site)
    assert isinstance(protected, Protected)
    app = protected.app
    assert isinstance(app, Starlette)
    one: BaseRoute
    for one in app.routes:
        assert isinstance(one, Route | Mount)
        if one.path not in PUBLIC:
            assert isinstance(one, Route)
            yield one


def addresses_of(route: Route) -> str:
    return re.sub(r"{[^}]*}", "1", route.path)


async def test_no_route_answers_without_the_operators_session(site: OperatorSite) -> None:
    rater = LinkSigner(OPERATOR_KEY).token(new_link("panel", "anna", datetime.now(UTC), timedelta(days=1)))
    asked = 0
    for token in ("", "x", rater, site.signer.form_token("x")):
        async with visitor(site, token=token) as stranger:
            stranger.cookies.set("escalon_panel", rater)
            for route in routes_of(site):
                for method in sorted(route.methods or ()):
                    answer = await stranger.request(method, addresses_of(route), headers={"Origin": ORIGIN})
                    asked += 1
                    assert answer.status_code == 403, (method, route.path)
                    assert "set-cookie" not in answer.headers
    assert asked > 20
    assert AUDIT.asked == []
    assert not site.live.running


async def test_every_form_needs_the_token_of_its_session(site: OperatorSite) -> None:
    posts = [route for route in routes_of(site) if "POST" in (route.methods or ())]
    assert posts
    async with visitor(site) as operator:
        for route in posts:
            for form in ({}, {"csrf": "0" * 64}, {"csrf": site.signer.form_token("another")}, {"csrf": "ä"}):
                answer = await operator.post(addresses_of(route), data=form, headers={"Origin": ORIGIN})
                assert answer.status_code == 400
                assert "out of date" in answer.text
            for origin in ({}, {"Origin": "https://evil.example"}):
                assert (await operator.post(addresses_of(route), headers=origin)).status_code == 403


async def test_another_name_for_this_server_is_refused(site: OperatorSite) -> None:
    async with visitor(site) as operator:
        assert (await operator.get("/", headers={"Host": "evil.example:8484"})).status_code == 421


async def test_the_link_opens_the_pages_and_leaves_the_address(site: OperatorSite, tmp_path: Path) -> None:
    settings = read_settings({"ESCALON_DATA": str(tmp_path), "ESCALON_UI_KEY": OPERATOR_KEY})
    link = operator_link(settings, ORIGIN)
    assert link.startswith(f"{ORIGIN}/o/")
    async with visitor(site, token="") as operator:
        answer = await operator.get(link)
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie
        assert answer.headers["refresh"] == "0; url=/"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_behind_a_proxy_the_link_has_its_address_and_the_cookie_needs_tls(tmp_path: Path) -> None:
    url = "https://panel.example.com"
    settings = read_settings({"ESCALON_DATA": str(tmp_path), "ESCALON_UI_KEY": OPERATOR_KEY, "ESCALON_UI_URL": url})
    assert operator_link(settings, ORIGIN).startswith("https://panel.example.com/o/")
    site = operator_site(FakeAudit(), tmp_path, ESCALON_UI_URL=url)
    async with visitor(site, token="") as operator:
        assert "secure" in (await operator.get(f"/o/{site.signer.operator_token()}")).headers["set-cookie"].lower()


async def test_another_key_makes_link_and_cookie_useless(site: OperatorSite) -> None:
    old = LinkSigner("o" * 32).operator_token()
    async with visitor(site, token=old) as operator:
        assert (await operator.get("/")).status_code == 403
        answer = await operator.get(f"/o/{old}")
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_a_changed_link_sets_no_cookie(site: OperatorSite) -> None:
    token = site.signer.operator_token()
    async with visitor(site, token="") as stranger:
        for changed in (token[:-1], token + "A", "x", "%00", "ä"):
            answer = await stranger.get(f"/o/{changed}")
            assert answer.status_code == 403
            assert OPERATOR_COOKIE not in answer.headers.get("set-cookie", "")
