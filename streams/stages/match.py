"""MATCH: a sighting in, a verdict out that knows whether the image was seen before."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal

from streams.core.errors import HANDLER_GONE, ConfigError
from streams.core.fingerprint import call_id
from streams.core.messages import Call, Finding, Message, Sighting
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline
from streams.stages.listen import conclude
from streams.stages.ports import Desk, SeenImages


def match(sighting: Sighting, received_at: datetime, pipeline: Pipeline, desk: Desk, seen: SeenImages) -> list[Message]:
    """Compare with the images seen so far, remember a new one, and conclude."""
    handler = pipeline.listeners.get(sighting.listener)
    if handler is None:
        what = f"The pipeline has no listener {sighting.listener!r} any more."
        raise ConfigError(what, HANDLER_GONE, "listeners")
    event_id, image_hash = sighting.event.origin.event_id, int(sighting.image_hash, 16)
    started = desk.timer()
    near = seen.nearest(image_hash, handler.spec.max_distance, but_not=event_id)
    if near is None:
        seen.add(event_id, image_hash)
    call = _call(sighting, received_at, handler, desk, near, desk.timer() - started)
    finding = Finding(
        listener=handler.name,
        label=None,
        confidence=None if near is None else 1 - near[1] / 64,
        duplicate_of=None if near is None else near[0],
        call_id=call.call_id,
    )
    return [call, *conclude(sighting.event, (*sighting.findings, finding), pipeline, desk)]


def _call(
    sighting: Sighting,
    received_at: datetime,
    handler: Handler,
    desk: Desk,
    near: tuple[str, int] | None,
    seconds: float,
) -> Call:
    origin, now = sighting.event.origin, desk.now()
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
        pipeline=desk.pipeline_hash,
        operation="match",
        provider="escalon",
        request_model="phash",
        prompt=f"{sighting.event.image} {sighting.image_hash}",
        response=json.dumps({"duplicate_of": near[0], "distance": near[1]} if near else {"duplicate_of": None}),
        cost_usd=Decimal(0),
        started_at=now,
        queue_seconds=max(0.0, (now - received_at).total_seconds()),
        duration_seconds=seconds,
        status="answered",
        decision="found",
        decision_reason=f"{near[1]} of 64 bits from {near[0]}" if near else "not seen before",
    )
    return desk.recorded(call)
