"""A task that waits for its provider's batch."""

from __future__ import annotations

from datetime import timedelta

from streams.calling.record import CallRecords
from streams.core.messages import Deferred, Escalation, Verdict

LONGEST = timedelta(hours=49)
"""A day at most to gather, and a day until the provider's batch expires."""


def for_batch(task: Verdict | Escalation, records: CallRecords) -> Deferred:
    """Return the task, to continue when a batch has answered it."""
    return Deferred(
        cause="batch",
        verdict=task if isinstance(task, Verdict) else None,
        escalation=task if isinstance(task, Escalation) else None,
        not_before=task.event.deadline or records.now() + LONGEST,
        reason="its deadline leaves time for a batch",
    )
