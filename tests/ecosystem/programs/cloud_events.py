"""Prints CloudEvents as Kafka records, one JSON object a line, by the project's own SDK: MODE COUNT SOURCE."""

from __future__ import annotations

import json
import sys

from cloudevents.core.bindings.kafka import to_binary, to_structured  # type: ignore[import-not-found]
from cloudevents.core.formats.json import JSONFormat  # type: ignore[import-not-found]
from cloudevents.core.v1.event import CloudEvent  # type: ignore[import-not-found]

mode, count, source = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for number in range(count):
    attributes = {"id": str(number), "source": source, "type": "shop.asked"}
    event = CloudEvent(
        {**attributes, "datacontenttype": "application/json"},
        {"text": f"When are you open, {number}?", "customer": "C-9"},
    )
    record = {"binary": to_binary, "structured": to_structured}[mode](event, JSONFormat())
    headers = {name: value.decode() for name, value in record.headers.items()}
    key = record.key.decode() if isinstance(record.key, bytes) else record.key
    sys.stdout.write(json.dumps({"key": key, "value": record.value.decode(), "headers": headers}) + "\n")
