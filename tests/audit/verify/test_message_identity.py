"""The identity of every message that may be on a topic can be read."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace

import pytest
from fastavro import schemaless_writer
from fastavro.utils import generate_one

from streams.adapters.codec import SINGLE_OBJECT, Codec
from streams.adapters.schemas import Schema, released
from streams.audit.verify.message_identity import IdentityReader
from streams.core.messages import Call, DeadLetter, Outcome, Verdict

KINDS = {kind.__name__: kind for kind in (Call, DeadLetter, Outcome, Verdict)}
WRITTEN = [schema for schema in released().values() if schema.name in KINDS]


@pytest.mark.parametrize("schema", WRITTEN, ids=lambda schema: f"{schema.name}-{schema.fingerprint.hex()}")
def test_a_message_of_each_released_schema_is_identified(schema: Schema) -> None:
    record, body = generate_one(schema.parsed), BytesIO()
    schemaless_writer(body, schema.parsed, record)
    message = SimpleNamespace(value=lambda: SINGLE_OBJECT + schema.fingerprint + body.getvalue())
    found = IdentityReader(Codec())(KINDS[schema.name], message)
    about = record["event"]["origin"] if schema.name == "Verdict" else record.get("origin", record)
    assert (found.event_id, found.content_digest) == (about["event_id"], about.get("content_digest", ""))
