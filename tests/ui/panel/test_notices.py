from __future__ import annotations

from typing import get_args

import pytest

from streams.ui.panel.notices import NoticeKind, notice
from streams.ui.panel.pages import notice_page


@pytest.mark.parametrize("kind", get_args(NoticeKind))
def test_every_notice_says_what_to_do_next(kind: NoticeKind) -> None:
    status, page = notice(kind, "/home")
    assert status in (200, 400, 403, 404, 409, 410, 413, 503)
    assert 'href="/home"' in notice_page(page) or "ask" in page.text.lower()


def test_only_a_page_that_waits_loads_itself_again() -> None:
    assert "data-refresh" in notice_page(notice("nothing now").page)
    assert "data-refresh" not in notice_page(notice("link revoked").page)
