"""Messages that can be decoded and not be worked on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.core.errors import UnreadableError
from streams.core.messages import Escalation, Result, Sighting, Verdict
from streams.core.validate import validate_message
from tests.builders import ORIGIN, START, event

EVENT = event()
PICTURE = replace(EVENT, kind="image", image="a" * 64)
SIGHTING = Sighting(event=PICTURE, listener="seen", image_hash="0123456789abcdef", findings=(), thumbnail=bytes(1024))
VERDICT = Verdict(
    event=EVENT, findings=(), intents=("a",), confidence=None, action="work", handler="h", fingerprint="f",
    pipeline="p", decided_at=START,
)  # fmt: skip
ESCALATION = Escalation(
    event=EVENT, intents=("a",), handler="h", reason="routed", fingerprint="f", pipeline="p", decided_at=START
)
RESULT = Result(origin=ORIGIN, state="failed", tier="worker", handler="h", intent="a", pipeline="p", decided_at=START)


@pytest.mark.parametrize(
    "message", [SIGHTING, replace(SIGHTING, image_hash="", thumbnail=None), VERDICT, ESCALATION, RESULT]
)
def test_what_a_tier_writes_is_sound(message: object) -> None:
    validate_message(message)


@pytest.mark.parametrize(
    "message",
    [
        replace(VERDICT, intents=()),
        replace(ESCALATION, intents=()),
        replace(SIGHTING, event=EVENT),
        replace(SIGHTING, event=replace(PICTURE, image="A" * 64)),
        replace(SIGHTING, thumbnail=b""),
        replace(SIGHTING, thumbnail=bytes(1023)),
        *(replace(SIGHTING, image_hash=wrong) for wrong in ("-1", "g" * 16, "0" * 17, "0" * 15, "0x00000000000000")),
    ],
)
def test_a_message_that_no_tier_could_handle_is_refused(message: object) -> None:
    with pytest.raises(UnreadableError) as caught:
        validate_message(message)
    assert caught.value.reason == "bad_message"
