"""The commands that give people access to a panel and change its state, on real servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from streams.audit.query import Audit
from streams.core.messages import Panel
from streams.panels.panel_log import current_panel
from streams.ui.links import LinkSigner, person_of
from tests.harness.audit import write
from tests.harness.commands import Escalon, in_shop
from tests.harness.panel_process import UI_KEY
from tests.harness.panel_site import PanelServers, PanelWorld, panel_servers
from tests.harness.shop import shop

pytestmark = pytest.mark.embedded
TOKEN = re.compile(r"http://127\.0\.0\.1:8484/l/([\w.-]+)")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, clickhouse_server: str) -> Iterator[PanelServers]:
    with panel_servers(tmp_path_factory.mktemp("panels"), clickhouse_server) as servers:
        yield servers


@pytest.fixture
def world(servers: PanelServers, tmp_path: Path) -> PanelWorld:
    return PanelWorld(servers, tmp_path, cases=1, people=())


@pytest.fixture
def escalon(
    world: PanelWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Escalon]:
    monkeypatch.setenv("ESCALON_KAFKA", world.servers.kafka.servers)
    monkeypatch.setenv("ESCALON_TOPIC_PREFIX", world.settings.topic_prefix)
    monkeypatch.setenv("ESCALON_DATA", str(world.directory))
    monkeypatch.setenv("ESCALON_UI_KEY", UI_KEY)
    shop(world.directory)
    with in_shop(world.directory, world.servers.clickhouse, monkeypatch, capsys) as escalon:
        yield escalon


def known(world: PanelWorld) -> Panel:
    """Return the panel's latest message."""
    with closing(Audit(world.servers.clickhouse)) as audit:
        return current_panel(world.settings, audit, world.name)


def works(world: PanelWorld, token: str) -> object:
    """Return the person of a link, or the reason why it does not work."""
    link = LinkSigner(UI_KEY).read(token)
    assert link is not None
    return person_of(link, known(world), link.issued_at)


def test_each_person_gets_a_link_of_their_own(world: PanelWorld, escalon: Escalon) -> None:
    done = escalon("panel", "link", world.name, "anna", "ben")
    tokens = TOKEN.findall(done.stdout)
    assert done.code == 0
    assert len(set(tokens)) == 2
    assert [one.name for one in known(world).people] == ["anna", "ben"]
    assert works(world, tokens[1]) == known(world).people[1]


def test_a_second_link_keeps_the_order_of_the_people_and_the_first_link(world: PanelWorld, escalon: Escalon) -> None:
    first = TOKEN.findall(escalon("panel", "link", world.name, "anna", "ben").stdout)
    again = json.loads(escalon("panel", "link", world.name, "ben", "cleo", "--json").stdout.splitlines()[0])
    assert [one.name for one in known(world).people] == ["anna", "ben", "cleo"]
    assert works(world, first[1]) == works(world, again["url"].rpartition("/")[2]) == known(world).people[1]


def test_revoked_links_do_not_work_and_new_ones_do(world: PanelWorld, escalon: Escalon) -> None:
    (old,) = TOKEN.findall(escalon("panel", "link", world.name, "anna").stdout)
    assert escalon("panel", "revoke", world.name, "anna").code == 0
    assert works(world, old) == "link revoked"
    (new,) = TOKEN.findall(escalon("panel", "link", world.name, "anna").stdout)
    assert works(world, new) == known(world).people[0]


def test_a_rater_cannot_become_the_adjudicator(world: PanelWorld, escalon: Escalon) -> None:
    escalon("panel", "link", world.name, "anna")
    done = escalon("panel", "link", world.name, "anna", "--adjudicator")
    assert done.code == 2
    assert "anna is already a rater of this panel" in done.err


def test_nothing_is_done_for_an_unknown_panel_or_person(world: PanelWorld, escalon: Escalon) -> None:
    for arguments in (("link", "none", "anna"), ("revoke", world.name, "zoe"), ("pause", "none")):
        done = escalon("panel", *arguments)
        assert done.code == 2
        assert "no panel" in done.err or "no link to this panel" in done.err


def test_a_panel_is_paused_resumed_and_closed(world: PanelWorld, escalon: Escalon) -> None:
    states = []
    for command in ("pause", "resume", "close"):
        assert escalon("panel", command, world.name).code == 0
        states.append(known(world).state)
    assert states == ["paused", "open", "closed"]


def test_a_rater_of_a_closed_panel_gets_a_link_with_the_remark_that_there_are_no_cases(
    world: PanelWorld, escalon: Escalon
) -> None:
    assert "gives no cases" not in escalon("panel", "link", world.name, "anna").err
    escalon("panel", "close", world.name)
    assert f"is closed and gives no cases: `escalon panel resume {world.name}`" in escalon(
        "panel", "link", world.name, "ben"
    ).err  # fmt: skip
    assert "gives no cases" not in escalon("panel", "link", world.name, "clara", "--adjudicator").err


def test_a_panel_that_only_the_audit_has_can_be_changed(world: PanelWorld, escalon: Escalon) -> None:
    write(world.servers.clickhouse, replace(world.panel, panel=f"{world.name}-old"))
    assert escalon("panel", "close", f"{world.name}-old").code == 0


def test_the_pages_are_not_served_elsewhere_without_their_address(escalon: Escalon) -> None:
    done = escalon("ui", "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert done.code == 2
    assert "ESCALON_UI_URL" in done.err


def test_a_port_in_use_is_named(escalon: Escalon, world: PanelWorld) -> None:
    port = world.servers.kafka.servers.rpartition(":")[2]
    done = escalon("ui", "--port", port)
    assert done.code == 1
    assert f"127.0.0.1:{port} cannot be listened on" in done.err
