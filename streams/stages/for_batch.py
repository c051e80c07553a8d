"""A task that waits for its provider's batch."""

from __future__ import annotations

from streams.calling.record import CallRecords
from streams.core.messages import Deferred, Escalation, Verdict


def for_batch(task: Verdict | Escalation, records: CallRecords) -> Deferred:
    """Return the task, to continue when a batch has answered it."""
    return Deferred(
        cause="batch",
        verdict=task if isinstance(task, Verdict) else None,
        escalation=task if isinstance(task, Escalation) else None,
        not_before=records.now(),
        reason="its deadline leaves time for a batch",
    )
