"""The messages of the panel's server that are pages of their own, with their status codes."""

from __future__ import annotations

from typing import Literal, NamedTuple

from streams.ui.panel.pages import NoticePage

NoticeKind = Literal[
    "link invalid", "link expired", "link revoked", "paused", "nothing now", "not found", "place taken", "erased",
    "bad form", "too large", "unavailable",
]  # fmt: skip


class Notice(NamedTuple):
    """A page and the status code that it is sent with."""

    status: int
    page: NoticePage


def notice(kind: NoticeKind, home: str = "/panel") -> Notice:
    """Return the message of a kind; `home` is the address of the next case."""
    status, title, text, way_on = _TEXTS[kind]
    link = home if way_on else ""
    refresh = 20 if kind in ("nothing now", "paused", "unavailable") else 0
    return Notice(status, NoticePage(title=title, text=text, link=link, link_text=way_on, refresh_seconds=refresh))


_TEXTS: dict[NoticeKind, tuple[int, str, str, str]] = {
    "link invalid": (
        403,
        "This link does not work",
        "Part of it may be missing. Copy the whole link from the message that you got, or ask for a new one.",
        "",
    ),
    "link expired": (403, "This link has expired", "Ask the person who sent it for a new one.", ""),  # prose: quoted
    "link revoked": (
        403,
        "This link has been replaced or withdrawn",
        "Use the newest link that you got, or ask for a new one. Your saved judgements are kept.",
        "",
    ),
    "paused": (
        200,
        "The panel is paused",
        "Its owner has paused it. Your saved judgements are kept. This page looks again by itself.",
        "Look again",
    ),
    "nothing now": (
        200,
        "Nothing to judge right now",
        "Other raters have the remaining cases open. Cases that they leave come back within minutes; this page looks "
        "again by itself.",
        "Look again",
    ),
    "not found": (404, "Not found", "There is no such page, or it is not yours.", "Continue with the next case"),
    "place taken": (
        409,
        "This case has all its raters",
        "It was open for too long, and another rater has judged it in the meantime. Your judgement was not counted.",
        "Continue with the next case",
    ),
    "erased": (
        410,
        "This case no longer exists",
        "Its content has been erased, as the person it concerned may demand. There is nothing to judge.",
        "Continue with the next case",
    ),
    "bad form": (
        400,
        "This form cannot be accepted",
        "It is incomplete or out of date. Load the case again, and judge it once more.",
        "Back to the case",
    ),
    "too large": (413, "This is too long", "Shorten your comment, and send it again.", "Back to the case"),
    "unavailable": (
        503,
        "The panel cannot be reached right now",
        "Its server cannot read or save at the moment. Nothing saved is lost. This page looks again by itself.",
        "Look again",
    ),
}
