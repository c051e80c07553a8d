"""IMAGES: a sighting in, a verdict out that says if the image was seen before.

Hashes and thumbnails that are alike nominate earlier images. Only a look at the pixels makes an event a duplicate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from streams.calling.record import CallRecords
from streams.core.errors import HANDLER_GONE, ConfigError
from streams.core.fingerprint import call_id
from streams.core.messages import Call, Finding, Message, Sighting
from streams.core.routing import DUPLICATE
from streams.models.listeners.seen_image import Nominee, SeenImage
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.pipeline.spec import ImageDuplicateListener
from streams.stages.listen import conclude
from streams.stages.ports import Images, SeenImages


@dataclass(frozen=True, slots=True)
class ImageComparison:
    """The result of comparing an image with those seen so far."""

    original: Nominee | None
    looks: int
    """Earlier images whose pixels were compared."""
    words: str

    @property
    def confidence(self) -> float | None:
        """The similarity of the hashes, from 0 to 1."""
        return None if self.original is None else 1 - self.original.distance / 64


async def dedupe_images(
    sighting: Sighting,
    received_at: datetime,
    pipeline: Pipeline,
    records: CallRecords,
    seen: SeenImages,
    images: Images,
) -> list[Message]:
    """Compare with the images seen so far, remember a new one, and conclude."""
    handler = pipeline.listeners.get(sighting.listener)
    if handler is None or not isinstance(handler.spec, ImageDuplicateListener):
        what = f"The pipeline has no listener {sighting.listener!r} any more."
        raise ConfigError(what, HANDLER_GONE, "listeners")
    new = SeenImage.of(sighting.event, int(sighting.image_hash or "0", 16), sighting.thumbnail or b"")
    started = records.timer()
    found = await _compared(new, seen.likeliest(new, handler.spec.max_distance), images)
    if found.original is None:
        seen.add(new)
    call = _call(sighting, received_at, handler, records, found, records.timer() - started)
    finding = _finding(handler, found, call)
    return [call, *conclude(sighting.event, (*sighting.findings, finding), pipeline, records)]


async def _compared(new: SeenImage, nominees: list[Nominee], images: Images) -> ImageComparison:
    for looks, one in enumerate(nominees):
        if one.seen.image == new.image:
            return ImageComparison(one, looks, f"the same bytes as {one.seen.event_id}")
        if await images.same(new.image, one.seen.image):
            words = f"the same pixels as {one.seen.event_id}, {one.distance} of 64 bits apart"
            return ImageComparison(one, looks + 1, words)
    if nominees:
        return ImageComparison(
            None, len(nominees), f"not seen before: other pixels than {len(nominees)} that are like it"
        )
    plain = new.hash is None
    return ImageComparison(None, 0, "not seen before" + (": nothing but its bytes to compare by" if plain else ""))


def _finding(handler: Handler, found: ImageComparison, call: Call) -> Finding:
    threshold, original = handler.threshold, found.original
    sure = original is not None and (threshold is None or (found.confidence or 0.0) >= threshold)
    return Finding(
        listener=handler.name,
        label=DUPLICATE if sure else None,
        confidence=found.confidence,
        duplicate_of=original.seen.event_id if original is not None and sure else None,
        call_id=call.call_id,
    )


def _call(
    sighting: Sighting,
    received_at: datetime,
    handler: Handler,
    records: CallRecords,
    found: ImageComparison,
    seconds: float,
) -> Call:
    origin, now = sighting.event.origin, records.now()
    near = found.original
    same = {"duplicate_of": None} if near is None else {"duplicate_of": near.seen.event_id, "distance": near.distance}
    call = Call(
        origin=origin,
        call_id=call_id(
            origin.run,
            origin.event_id,
            "listener",
            handler.name,
            1,
            fingerprint=f"{handler.version} {sighting.image_hash}",
        ),
        tier="listener",
        handler=handler.name,
        handler_version=handler.version,
        pipeline=records.pipeline_hash,
        operation="match",
        provider="escalon",
        request_model="phash",
        prompt=f"{sighting.event.image} {sighting.image_hash}".strip(),
        response=json.dumps({**same, "looks": found.looks}),
        cost_usd=Decimal(0),
        started_at=now,
        queue_seconds=max(0.0, (now - received_at).total_seconds()),
        duration_seconds=seconds,
        status="answered",
        decision="found",
        decision_reason=found.words,
    )
    return records.redact(call)
