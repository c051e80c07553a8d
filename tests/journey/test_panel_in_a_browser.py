"""A panel from its making to its decisions, with real servers, and people in a real browser."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from streams.adapters.blobs import BlobStore
from streams.app.settings import Settings, read_settings
from streams.embedded.recording import recording_servers
from streams.panels.publication import await_recorded
from tests.builders import event
from tests.harness.audit import write
from tests.harness.browser import Visitor, chromium
from tests.harness.commands import Escalon, in_shop
from tests.harness.panel_stream import EIGHT, explored
from tests.harness.panels import RUBRIC
from tests.harness.pictures import picture
from tests.harness.shop import shop

pytestmark = pytest.mark.embedded
CASES, RATERS = 5, 3
TALK = "Anna: Where is order {0}?\nDesk: Which number?\nAnna: It is {0}, of course."
KEYS = {"yes/no": "yn", "scale": "123", "pick": "abtx"}


@dataclass(frozen=True, slots=True)
class PanelPages:
    """A running `escalon ui`, with the links to one panel."""

    escalon: Escalon
    settings: Settings
    address: str
    links: dict[str, str]


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[PanelPages]:
    """Servers, a stream in the audit, a panel drawn from it, and the pages of three raters and an adjudicator."""
    settings = read_settings({"ESCALON_DATA": str(tmp_path / "data"), "ESCALON_PARTITIONS": "1"})
    shop(tmp_path)
    (tmp_path / "rubric.toml").write_text("gold = 0\nrepeats = 0.2\n" + RUBRIC, "utf-8")
    with recording_servers(settings, None) as servers:
        assert servers.clickhouse is not None
        image = BlobStore(settings.blobs).put(picture())
        write(servers.clickhouse, *_stream(image))
        with in_shop(tmp_path, servers.clickhouse, monkeypatch, capsys) as escalon:
            monkeypatch.delenv("ESCALON_CLICKHOUSE")
            monkeypatch.setenv("ESCALON_DATA", str(settings.data_dir))
            made = escalon(
                "panel", "new", "week-48", "--rubric", "rubric.toml", "--compare", "worker,reasoner", "--cases",
                str(CASES), "--raters", str(RATERS), "--seed", "7",
            )  # fmt: skip
            assert made.code == 0, made.err
            with _ui(tmp_path) as address:
                raters = escalon("panel", "link", "week-48", "anna", "ben", "chris", "--json")
                adjudicator = escalon("panel", "link", "week-48", "dora", "--adjudicator", "--json")
                lines = [*raters.stdout.splitlines(), *adjudicator.stdout.splitlines()]
                links = {one["person"]: one["url"] for one in map(json.loads, lines)}
                yield PanelPages(escalon, servers, address, links)


def _stream(image: str) -> Iterator[Any]:
    for number in range(3 * CASES):
        more: dict[str, Any] = {"data": json.dumps({"shop": "north", "tags": ["a", "b"]}), "image": image}
        yield from explored(event(f"e{number}", TALK.format(number), hour=number / 10, **more), EIGHT)


@contextmanager
def _ui(directory: Path) -> Iterator[str]:
    """Run `escalon ui` and yield its address."""
    command = [sys.executable, "-m", "streams", "ui", "--port", "0"]
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            yield said.partition("served on ")[2].split(". ")[0]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def case_of(page: Page) -> str:
    """The case that a page shows; empty for another page."""
    shown = page.locator("#judge input[name=case]")
    return shown.first.input_value() if shown.count() else ""


def answer_by_keys(page: Page, choice: int) -> None:
    """Answer each question of a page by its key: the first, second or last choice of each kind of question."""
    for kind in page.locator("#judge .field").evaluate_all("all => all.map(one => one.dataset.type)"):
        page.keyboard.press(KEYS[kind][min(choice, len(KEYS[kind]) - 1)])


def send(page: Page) -> None:
    """Send the page with Enter, and wait for the next one."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def judge_all_by_keys(page: Page, choice: int) -> list[str]:
    """Judge case after case until none is left; return their ids."""
    judged = []
    while one := case_of(page):
        answer_by_keys(page, choice)
        send(page)
        judged.append(one)
    return judged


def judge_all_by_touch(page: Page) -> list[str]:
    """Judge case after case with the first choice of each question, by tapping."""
    judged = []
    while one := case_of(page):
        for field in page.locator("#judge .field").all():
            field.locator("label").first.tap()
        with page.expect_navigation():
            page.get_by_role("button", name="Send").tap()
        judged.append(one)
    return judged


def enter(pages: PanelPages, browser: Browser, name: str, *, phone: bool = False) -> Visitor:
    """Follow a person's link in a browser profile of their own."""
    visitor = Visitor.of(browser, pages.address, phone=phone)
    visitor.page.goto(pages.links[name])
    visitor.page.wait_for_url(lambda url: "/l/" not in url)
    return visitor


def use_every_key(page: Page) -> None:
    """Judge a case with a comment, take it back and send it again, and pause."""
    first = case_of(page)
    page.keyboard.press("d")
    page.keyboard.press("c")
    page.keyboard.type("Both are short.")
    page.keyboard.press("Escape")
    answer_by_keys(page, 0)
    send(page)
    with page.expect_navigation():
        page.keyboard.press("u")
    assert case_of(page) == first
    assert page.get_by_label("Comment").first.input_value() == "Both are short."
    assert page.locator("#judge input:checked").count() == 5
    send(page)
    with page.expect_navigation():
        page.keyboard.press("p")
    assert "You have paused" in page.content()
    send(page)


def decide_all_by_keys(page: Page) -> int:
    """Decide one disagreement after the other; return their number."""
    page.reload()
    page.get_by_role("link").first.click()
    decided = 0
    while page.locator("#judge").count():
        answer_by_keys(page, 1)
        send(page)
        decided += 1
    return decided


def stored(pages: PanelPages) -> Counter[tuple[str, str]]:
    """The cases in the audit by the kind of judgement and the person."""
    await_recorded(pages.settings)
    sql = "SELECT kind, judge, count(DISTINCT case_id) AS cases FROM panel_judgements GROUP BY kind, judge"
    rows = map(json.loads, pages.escalon("query", sql, "--json").stdout.splitlines())
    return Counter({(one["kind"], one["judge"]): int(one["cases"]) for one in rows})


def test_two_raters_judge_by_keys_a_third_on_a_phone_and_an_adjudicator_decides(
    pages: PanelPages, browser: Browser
) -> None:
    anna, ben, dora = (enter(pages, browser, name) for name in ("anna", "ben", "dora"))
    chris = enter(pages, browser, "chris", phone=True)
    problems = anna.inspect()
    send(anna.page)  # the button that starts has the focus
    problems += anna.inspect()
    use_every_key(anna.page)
    anna.page.keyboard.press("s")
    problems += anna.inspect()
    anna.page.keyboard.press("2")
    send(anna.page)
    by_anna = judge_all_by_keys(anna.page, 0)
    problems += anna.inspect()

    send(ben.page)
    by_ben = judge_all_by_keys(ben.page, 1)
    with chris.page.expect_navigation():
        chris.page.get_by_role("button", name="Start").tap()
    assert chris.page.evaluate("document.documentElement.scrollWidth") == 390
    by_chris = judge_all_by_touch(chris.page)
    assert len(by_anna) + 2 == len(by_ben) == len(by_chris) == len(set(by_chris)) == CASES + 1  # with a repeat

    dora.page.goto(f"{pages.address}/panel/disagreements/next")
    problems += dora.inspect()
    dora.page.goto(f"{pages.address}/panel/disagreements")
    problems += dora.inspect()
    assert decide_all_by_keys(dora.page) == CASES
    assert "0 to decide" in dora.page.content()

    assert problems == []
    assert [fault for visitor in (anna, ben, chris, dora) for fault in visitor.faults] == []
    assert stored(pages) == {
        ("rating", "anna"): CASES, ("skip", "anna"): 1, ("rating", "ben"): CASES + 1,
        ("rating", "chris"): CASES + 1, ("adjudication", "dora"): CASES,
    }  # fmt: skip
