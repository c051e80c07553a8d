"""The log's record of one batch, written before the provider is asked, so that a kill loses no batch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

IntentState = Literal["intended", "created", "returned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One batch of a partition's tasks. Of several records with one id the last one counts.

    `intended`: whether the batch exists is unknown. `created`: it does. `returned`: its tasks went back to their tier,
    and their offsets are kept until Kafka has committed them. Tasks that go back without a batch have such a record
    as well.
    """

    intent_id: str
    """32 hexadecimal digits, part of each request's custom id."""
    partition: int
    state: IntentState
    model: str = ""
    """The key of its model in the pipeline file."""
    offsets: tuple[int, ...] = ()
    """Of its tasks; of a returned one also of the tasks that an identical one's answer serves."""
    intended_at: datetime
    batch_id: str | None = None
    created_at: datetime | None = None

    def custom_id(self, offset: int) -> str:
        """Return the id of a task's request."""
        return f"{self.intent_id}-{offset}"

    def encode(self) -> bytes:
        """Return the record's bytes."""
        at = self.created_at.isoformat() if self.created_at else None
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields | {"intended_at": self.intended_at.isoformat(), "created_at": at}).encode()

    @classmethod
    def decode(cls, data: bytes) -> Intent:
        """Return the record of these bytes. Raises ValueError for others."""
        fields = json.loads(data)
        at = fields["created_at"]
        times = {
            "intended_at": datetime.fromisoformat(fields["intended_at"]),
            "created_at": datetime.fromisoformat(at) if at else None,
        }
        return cls(**fields | times | {"offsets": tuple(fields["offsets"])})
