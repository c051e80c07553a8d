"""The end of a task in a batch, as its tier is given it."""

from __future__ import annotations

from datetime import datetime

from streams.batching.waiting import Waiting
from streams.core.messages import BatchReply
from streams.models.providers.batches import BatchItem, BatchStatus, reply_text


def passed(waiting: Waiting) -> BatchReply:
    """Return the word that a task is to be asked by the ordinary API."""
    return BatchReply(end="passed", queued_at=waiting.queued_at)


def reply_to(waiting: Waiting, item: BatchItem, status: BatchStatus) -> BatchReply:
    """Return the reply, or the error, of a task's request."""
    version = waiting.question.handler_version if waiting.question else ""
    return end_of(item, status, version, waiting.queued_at)


def end_of(item: BatchItem, status: BatchStatus, handler_version: str, queued_at: datetime) -> BatchReply:
    """Return the reply, or the error, of the request of a handler's version that has waited since `queued_at`."""
    error = item.error
    return BatchReply(
        end="failed" if error is not None else "answered",
        handler_version=handler_version,
        batch_id=status.batch_id,
        reply=reply_text(item.reply) if item.reply is not None else None,
        error_type=error.error_type if error else None,
        error=error.what if error else None,
        retryable=error.retryable if error else False,
        queued_at=queued_at,
        asked_at=status.created_at,
        ended_at=status.ended_at,
    )
