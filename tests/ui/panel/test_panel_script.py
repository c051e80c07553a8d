"""The script of the panel's pages in a real browser; a stand-in answers its requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, Page, Route, expect

import streams.ui
from streams.ui.panel.notices import notice
from streams.ui.panel.pages import case_page, done_page, notice_page, unsaved_page
from tests.harness.browser import Visitor
from tests.harness.panel_pages import CASE, DONE, INVOICE, UNSAVED, example_pages

ORIGIN = "http://panel.test"
STATIC = Path(streams.ui.__file__).with_name("static")
SAVED = 303
WAIT_SECONDS = 30.0


@dataclass
class StandIn:
    """Serves pages to a browser and keeps what it posts."""

    page: str = field(default_factory=lambda: case_page(CASE))
    replies: list[int | str] = field(default_factory=list)
    """The replies to posts, in order: a status code, or `lost` for a connection that breaks. Then all are saved."""
    posted: list[dict[str, str]] = field(default_factory=list)

    def answer(self, route: Route) -> None:
        """Answer one request."""
        request, path = route.request, route.request.url.removeprefix(ORIGIN)
        if request.method == "POST":
            self.posted.append({name: values[0] for name, values in parse_qs(request.post_data or "").items()})
            self._reply(route)
        elif path.startswith("/static/"):
            kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
            file = STATIC / path.removeprefix("/static/")
            route.fulfill(body=file.read_text("utf-8"), content_type=kinds[file.suffix])
        else:
            done = [one for one in self.posted if one["do"] != "renew"]
            route.fulfill(body=done_page(DONE) if done else self.page, content_type="text/html; charset=utf-8")

    def _reply(self, route: Route) -> None:
        reply = self.replies.pop(0) if self.replies else SAVED
        if isinstance(reply, str):
            route.abort()
        elif reply == SAVED:
            route.fulfill(status=SAVED, headers={"location": "/"})
        else:
            route.fulfill(status=reply, body=f"<h1>reply {reply}</h1>", content_type="text/html")


Opened = Callable[..., tuple[Page, StandIn]]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Opens a page in a new profile, served by a stand-in."""
    visitors: list[Visitor] = []

    def open_page(page: str = "", *, script: bool = True, phone: bool = False) -> tuple[Page, StandIn]:
        stand_in = StandIn(page or case_page(CASE))
        visitor = Visitor.of(browser, ORIGIN, phone=phone, java_script_enabled=script)
        visitors.append(visitor)
        visitor.page.route("**/*", stand_in.answer)
        visitor.page.goto(ORIGIN)
        return visitor.page, stand_in

    yield open_page
    for visitor in visitors:
        visitor.context.close()


def press(page: Page, keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_keys_answer_one_question_after_the_other_and_enter_sends(opened: Opened) -> None:
    page, stand_in = opened()
    press(page, "yn41x")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    (posted,) = stand_in.posted
    chosen = {name: posted[name] for name in ("q0A", "q0B", "q1A", "q1B", "q2")}
    assert chosen == {"q0A": "yes", "q0B": "no", "q1A": "4", "q1B": "1", "q2": "both bad"}
    assert (posted["do"], posted["csrf"]) == ("judge", "token")


def test_enter_does_not_send_before_all_is_answered(opened: Opened) -> None:
    page, stand_in = opened()
    press(page, "yn4")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("Answer every question first.")
    assert stand_in.posted == []
    press(page, "2t")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()


def test_a_key_of_another_type_of_question_changes_nothing(opened: Opened) -> None:
    page, _ = opened()
    press(page, "4axtb")
    assert page.locator("input[type=radio]:checked").count() == 0


def test_the_arrows_go_back_to_a_question_to_correct_it(opened: Opened) -> None:
    page, _ = opened()
    press(page, "yy")
    page.keyboard.press("ArrowUp")
    press(page, "n")
    assert page.locator("input[name=q0B]:checked").input_value() == "no"
    assert page.locator("input[name=q0A]:checked").input_value() == "yes"


def test_letters_in_the_comment_are_text_and_escape_leaves_it(opened: Opened) -> None:
    page, stand_in = opened()
    press(page, "c")
    page.keyboard.type("a better bid, nay?")
    page.keyboard.press("Escape")
    press(page, "yn41a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    assert stand_in.posted[0]["comment"] == "a better bid, nay?"


@pytest.mark.parametrize(("key", "order"), [("u", "undo"), ("p", "pause")])
def test_undo_and_pause_have_a_key(opened: Opened, key: str, order: str) -> None:
    page, stand_in = opened()
    press(page, key)
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    assert [one["do"] for one in stand_in.posted] == [order]


def test_a_case_is_skipped_with_a_reason_by_keys_alone(opened: Opened) -> None:
    page, stand_in = opened()
    press(page, "s2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    assert (stand_in.posted[0]["do"], stand_in.posted[0]["reason"]) == ("skip", "I lack the knowledge to judge it")


def test_keys_open_and_close_the_help_and_mark_differences(opened: Opened) -> None:
    page, _ = opened()
    press(page, "?")
    expect(page.get_by_role("dialog")).to_be_visible()
    press(page, "y?")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.locator("input[type=radio]:checked").count() == 0
    press(page, "d")
    expect(page.get_by_label("Differences")).to_be_checked()


def test_single_keys_can_be_turned_off_and_stay_off(opened: Opened) -> None:
    page, _ = opened()
    press(page, "?")
    page.get_by_label("Use these single keys").uncheck()
    page.reload()
    press(page, "yyd")
    assert page.locator("#judge input:checked").count() == 0
    expect(page.get_by_label("Differences")).not_to_be_checked()


@pytest.mark.parametrize("failure", [503, "lost"])
def test_a_judgement_that_is_not_saved_keeps_the_page_and_is_posted_again(opened: Opened, failure: int | str) -> None:
    page, stand_in = opened()
    stand_in.replies = [failure, failure]
    press(page, "yn41a")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("Not saved yet")
    assert page.locator("#judge input:checked").count() == 5
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    assert len(stand_in.posted) == 3
    assert stand_in.posted[0] == stand_in.posted[1] == stand_in.posted[2]


def test_a_second_enter_while_saving_posts_nothing_more(opened: Opened) -> None:
    page, stand_in = opened()
    stand_in.replies = [503]
    press(page, "yn41a")
    for _ in range(3):
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    assert len(stand_in.posted) == 2


def test_a_reply_that_refuses_the_judgement_is_shown(opened: Opened) -> None:
    page, stand_in = opened()
    stand_in.replies = [409, 409]
    press(page, "yn41a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="reply 409")).to_be_visible()


def test_the_reservation_is_renewed_while_the_page_is_used(opened: Opened) -> None:
    page, stand_in = opened(case_page(replace(CASE, renew_seconds=1)))
    stand_in.replies = [204]
    press(page, "y")
    deadline = time.monotonic() + WAIT_SECONDS
    while not stand_in.posted and time.monotonic() < deadline:  # a page that is late renews after the next use
        page.keyboard.press("Shift")
        page.wait_for_timeout(200)
    assert stand_in.posted[0]["do"] == "renew"


def test_without_scripts_a_case_is_judged_by_the_plain_form(opened: Opened) -> None:
    page, stand_in = opened(script=False)
    for name, value in {"q0A": "yes", "q0B": "no", "q1A": "2", "q1B": "5", "q2": "tie"}.items():
        page.locator(f"input[name={name}][value='{value}']").check()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    assert stand_in.posted[0]["q2"] == "tie"


def test_without_scripts_a_case_is_skipped_with_a_reason(opened: Opened) -> None:
    page, stand_in = opened(script=False)
    page.get_by_role("button", name="Skip").click()
    page.get_by_label("Another reason").check()
    page.get_by_role("button", name="Skip the case").click()
    expect(page.get_by_role("heading", name="All done")).to_be_visible()
    assert stand_in.posted[0]["reason"] == "Another reason"


def test_without_scripts_an_unsaved_judgement_is_posted_again_by_a_button(opened: Opened) -> None:
    page, stand_in = opened(unsaved_page(replace(UNSAVED, fields=(*UNSAVED.fields, ("do", "judge")))), script=False)
    page.get_by_role("button", name="Try again").click()
    assert stand_in.posted[0] == {"csrf": "token", "q0A": "yes", "comment": "A note.", "do": "judge"}


@pytest.mark.parametrize("case", [CASE, replace(CASE, case=INVOICE)], ids=["pair", "single"])
def test_nothing_is_wider_than_a_phone(opened: Opened, case: object) -> None:
    page, _ = opened(case_page(case), phone=True)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("name", ["case-single", "nothing-now", "unsaved", "no-disagreements"])
def test_axe_finds_nothing_serious_on_the_rarer_pages(browser: Browser, name: str) -> None:
    visitor, stand_in = Visitor.of(browser, ORIGIN), StandIn(example_pages()[name])
    visitor.page.route("**/*", stand_in.answer)
    visitor.page.goto(ORIGIN)
    assert visitor.inspect() + visitor.faults == []
    visitor.context.close()


def test_a_page_that_waits_loads_itself_again(opened: Opened) -> None:
    page, stand_in = opened(notice_page(replace(notice("nothing now").page, refresh_seconds=1)))
    stand_in.page = case_page(CASE)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
