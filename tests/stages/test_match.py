"""MATCH: has this image been seen before?"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from streams.core.errors import ConfigError
from streams.core.messages import Call, Event, Finding, Message, Result, Sighting, Verdict
from streams.models.image import HashIndex
from streams.stages.match import match
from tests.stages.support import START, Office, event, office, the

PHOTO = Finding(listener="intent", label="photo", confidence=0.9, call_id="c-photo")


@pytest.fixture
def here(tmp_path: Path) -> Office:
    return office(tmp_path)


@pytest.fixture
def seen() -> HashIndex:
    return HashIndex(100)


def image(event_id: str) -> Event:
    return event(event_id, text="", image="a" * 64)


def matched(here: Office, seen: HashIndex, event_id: str, image_hash: int) -> list[Message]:
    sighting = Sighting(event=image(event_id), listener="seen", image_hash=f"{image_hash:016x}", findings=(PHOTO,))
    return match(sighting, START, here.pipeline, here.desk, seen)


def test_a_new_image_is_remembered_and_goes_where_the_others_say(here: Office, seen: HashIndex) -> None:
    messages = matched(here, seen, "e1", 0)
    verdict, call = the(Verdict, messages), the(Call, messages)
    assert (verdict.action, verdict.handler, verdict.intents) == ("work", "file", ("photo",))
    assert (call.operation, call.cost_usd, call.decision_reason) == ("match", Decimal(0), "not seen before")
    assert [finding.listener for finding in verdict.findings] == ["intent", "seen"]
    assert seen.items() == [("e1", 0)]


def test_a_similar_image_of_another_event_is_its_duplicate(here: Office, seen: HashIndex) -> None:
    matched(here, seen, "e1", 0)
    messages = matched(here, seen, "e2", 0b111)
    verdict, result = the(Verdict, messages), the(Result, messages)
    assert (verdict.action, verdict.duplicate_of, verdict.confidence) == ("duplicate", "e1", 1 - 3 / 64)
    assert (result.state, result.duplicate_of, result.handler) == ("duplicate", "e1", "seen")
    assert result.call_id == the(Call, messages).call_id
    assert the(Call, messages).decision_reason == "3 of 64 bits from e1"


def test_an_image_delivered_twice_is_no_duplicate_of_itself(here: Office, seen: HashIndex) -> None:
    first = matched(here, seen, "e1", 0)
    matched(here, seen, "e2", 1)
    assert matched(here, seen, "e1", 0) == first


def test_a_duplicate_delivered_twice_is_the_same_duplicate(here: Office, seen: HashIndex) -> None:
    matched(here, seen, "e1", 0)
    first = matched(here, seen, "e2", 1)
    assert matched(here, seen, "e2", 1) == first


def test_images_too_far_apart_are_two(here: Office, seen: HashIndex) -> None:
    matched(here, seen, "e1", 0)
    assert the(Verdict, matched(here, seen, "e2", (1 << 10) - 1)).action == "duplicate"  # 10 bits, as far as allowed
    assert the(Verdict, matched(here, seen, "e3", (1 << 11) - 1)).action == "work"


def test_a_duplicate_is_not_remembered_so_that_a_chain_of_copies_cannot_drift(here: Office, seen: HashIndex) -> None:
    matched(here, seen, "e1", 0)
    matched(here, seen, "e2", (1 << 10) - 1)
    assert seen.items() == [("e1", 0)]


def test_a_sighting_of_a_listener_that_was_removed_is_the_operators_to_mend(here: Office, seen: HashIndex) -> None:
    sighting = Sighting(event=image("e1"), listener="gone", image_hash="0" * 16, findings=())
    with pytest.raises(ConfigError, match="no listener 'gone' any more"):
        match(sighting, START, here.pipeline, here.desk, seen)
    assert len(seen) == 0
