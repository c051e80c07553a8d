"""MATCH: has this image been seen before?"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from streams.core.errors import ConfigError
from streams.core.messages import Call, Event, Finding, Message, Result, Sighting, Verdict
from streams.stages.dedupe_images import dedupe_images
from tests.harness.stages import PIPELINE, START, FakeImages, FakeSeen, Office, event, office, the

PHOTO = Finding(listener="intent", label="photo", confidence=0.9, call_id="c-photo")
FLAT = bytes(32 * 32)


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


class Album:
    """Images that were seen, and which of them show the same."""

    def __init__(self, here: Office) -> None:
        self.here = here
        self.seen = FakeSeen()
        self.images = FakeImages()

    def alike(self, *names: str) -> None:
        """Say that the images of two events show the same."""
        self.images.alike.add(frozenset(sha(name) for name in names))

    async def match(self, event_id: str, image_hash: int | None, **more: str) -> list[Message]:
        """Return the messages that an event's image causes."""
        of = image(event_id, **more)
        sighting = Sighting(
            event=of,
            listener="seen",
            image_hash="" if image_hash is None else f"{image_hash:016x}",
            findings=(PHOTO,),
            thumbnail=None if image_hash is None else FLAT,
        )
        return await dedupe_images(sighting, START, self.here.pipeline, self.here.records, self.seen, self.images)


@pytest.fixture
def album(here: Office) -> Album:
    return Album(here)


def sha(name: str) -> str:
    return name.encode().hex().rjust(64, "0")[::-1]


def image(event_id: str, text: str = "", data: str | None = None, shows: str | None = None) -> Event:
    return event(event_id, text=text, data=data, image=sha(shows or event_id))


async def test_a_new_image_is_remembered_and_goes_where_the_others_say(album: Album) -> None:
    messages = await album.match("e1", 0)
    verdict, call = the(Verdict, messages), the(Call, messages)
    assert (verdict.action, verdict.handler, verdict.intents) == ("work", "file", ("photo",))
    assert (call.operation, call.cost_usd, call.decision_reason) == ("match", Decimal(0), "not seen before")
    assert [finding.listener for finding in verdict.findings] == ["intent", "seen"]
    assert list(album.seen.kept) == ["e1"]


async def test_an_image_of_the_same_pixels_is_a_duplicate(album: Album) -> None:
    await album.match("e1", 0)
    album.alike("e1", "e2")
    messages = await album.match("e2", 0b111)
    verdict, result, call = the(Verdict, messages), the(Result, messages), the(Call, messages)
    assert (verdict.action, verdict.duplicate_of, verdict.confidence) == ("duplicate", "e1", 1 - 3 / 64)
    assert verdict.intents == ("duplicate", "photo")
    assert (result.state, result.duplicate_of, result.handler) == ("duplicate", "e1", "seen")
    assert result.call_id == call.call_id
    assert call.decision_reason == "the same pixels as e1, 3 of 64 bits apart"
    assert json.loads(call.response or "") == {"duplicate_of": "e1", "distance": 3, "looks": 1}


async def test_images_that_are_only_similar_are_each_worked_on(album: Album) -> None:
    for number in range(3):
        messages = await album.match(f"invoice-{number}", 0)
        assert the(Verdict, messages).action == "work"
    assert the(Call, messages).decision_reason == "not seen before: other pixels than 2 that are like it"
    assert len(album.images.looks) == 3


async def test_of_several_similar_images_the_one_that_shows_the_same_is_the_original(album: Album) -> None:
    for number in range(3):
        await album.match(f"invoice-{number}", 0)
    album.alike("invoice-2", "copy")
    assert the(Verdict, await album.match("copy", 1)).duplicate_of == "invoice-2"


async def test_an_event_that_says_something_new_is_not_a_duplicate(album: Album) -> None:
    await album.match("logo", 0, shows="logo")
    for event_id, more in {
        "refund": {"text": "Where is my refund?"},
        "other refund": {"text": "Where is my refund, then?"},
        "data": {"data": '{"order": 7}'},
    }.items():
        assert the(Verdict, await album.match(event_id, 0, shows="logo", **more)).action == "work", event_id
    for event_id, more, original in (
        ("again", {"text": " Where is my refund?\n"}, "refund"),
        ("data again", {"data": '{ "order":7 }'}, "data"),
        ("silent", {}, "logo"),
    ):
        messages = await album.match(event_id, 0, shows="logo", **more)
        assert the(Verdict, messages).duplicate_of == original
        assert the(Call, messages).decision_reason == f"the same bytes as {original}"
    assert album.images.looks == []


async def test_an_image_without_a_hash_is_a_duplicate_of_its_own_bytes_alone(album: Album) -> None:
    assert the(Verdict, await album.match("white", None)).action == "work"
    messages = await album.match("grey", None)
    assert the(Verdict, messages).action == "work"
    assert the(Call, messages).decision_reason == "not seen before: nothing but its bytes to compare by"
    assert the(Verdict, await album.match("again", None, shows="white")).duplicate_of == "white"
    assert album.images.looks == []


async def test_an_image_delivered_twice_is_not_a_duplicate_of_itself(album: Album) -> None:
    first = await album.match("e1", 0)
    album.alike("e1", "e2")
    await album.match("e2", 1)
    assert await album.match("e1", 0) == first


async def test_a_duplicate_delivered_twice_is_the_same_duplicate(album: Album) -> None:
    await album.match("e1", 0)
    album.alike("e1", "e2")
    first = await album.match("e2", 1)
    assert await album.match("e2", 1) == first


async def test_images_too_far_apart_are_not_looked_at(album: Album) -> None:
    await album.match("e1", 0)
    album.alike("e1", "e2")
    album.alike("e1", "e3")
    assert the(Verdict, await album.match("e2", (1 << 10) - 1)).action == "duplicate"  # 10 bits, as far as allowed
    assert the(Verdict, await album.match("e3", (1 << 11) - 1)).action == "work"


async def test_a_duplicate_is_not_remembered_so_that_a_chain_of_copies_cannot_drift(album: Album) -> None:
    await album.match("e1", 0)
    album.alike("e1", "e2")
    await album.match("e2", (1 << 10) - 1)
    assert list(album.seen.kept) == ["e1"]


ROUTED = PIPELINE.replace('photo = "workers.file"', 'photo = "workers.file"\nduplicate = "ROUTE"')


@pytest.mark.parametrize(
    ("route", "action", "handler"),
    [("workers.answer", "work", "answer"), ("reasoners.resolve", "reason", "resolve"), ("ignore", "duplicate", "")],
)
async def test_duplicates_go_where_the_table_says(tmp_path: Path, route: str, action: str, handler: str) -> None:
    album = Album(office(tmp_path, ROUTED.replace("ROUTE", route)))
    await album.match("e1", 0, shows="one")
    verdict = the(Verdict, await album.match("e2", 0, shows="one"))
    assert (verdict.action, verdict.handler, verdict.duplicate_of) == (action, handler, "e1")


async def test_a_duplicate_under_the_threshold_counts_as_nothing_found(tmp_path: Path) -> None:
    album = Album(office(tmp_path, PIPELINE.replace("max_distance = 10", "max_distance = 10\nthreshold = 0.95")))
    await album.match("e1", 0)
    album.alike("e1", "e2")
    album.alike("e1", "e3")
    assert the(Verdict, await album.match("e2", 0b1111)).action == "work"
    assert the(Verdict, await album.match("e3", 0b111)).action == "duplicate"


async def test_a_sighting_of_a_listener_that_was_removed_is_the_operators_to_fix(here: Office) -> None:
    seen = FakeSeen()
    sighting = Sighting(event=image("e1"), listener="gone", image_hash="0" * 16, findings=())
    with pytest.raises(ConfigError, match="no listener 'gone' any more"):
        await dedupe_images(sighting, START, here.pipeline, here.records, seen, FakeImages())
    assert seen.kept == {}
