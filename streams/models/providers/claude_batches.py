"""Anthropic's Message Batches.

https://platform.claude.com/docs/en/build-with-claude/batch-processing
The list of batches names neither requests nor metadata, so a batch whose creation was not recorded is searched for by
its time and its number of requests, and known by the custom ids of its results.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import anthropic
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from streams.core.errors import ModelError
from streams.core.process_fault import process_fault
from streams.models.providers.batches import REQUEST_SECONDS, BatchItem, BatchRequest, BatchStatus
from streams.models.providers.claude_answer import ClaudeAnswer
from streams.models.providers.claude_errors import CLAUDE, FOREIGN_ERRORS
from streams.models.providers.claude_request import message_arguments
from streams.models.providers.failures import BY_TYPE, by_words, failure, translated
from streams.models.providers.protocol import ModelReply
from streams.models.providers.response_bounds import UNCOMPRESSED

PAGE = 1000
T = TypeVar("T")


class ClaudeBatches:
    """The batches of one API key's workspace. Is a BatchAPI; retries nothing."""

    def __init__(
        self, api_key: str, base_url: str | None, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = anthropic.Anthropic(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            timeout=REQUEST_SECONDS,
            http_client=anthropic.DefaultHttpxClient(follow_redirects=False, headers=UNCOMPRESSED),
        )
        self._now = now

    def create(self, intent_id: str, requests: Sequence[BatchRequest]) -> BatchStatus:  # noqa: ARG002
        """Create a batch."""
        wanted: Any = [{"custom_id": one.custom_id, "params": message_arguments(one.request)} for one in requests]
        return _status(self._ask(lambda: self._client.messages.batches.create(requests=wanted)))

    def find(self, intent_id: str, since: datetime, until: datetime, count: int) -> Sequence[BatchStatus]:  # noqa: ARG002
        """Return the batches that were created in a time with so many requests."""
        return self._ask(lambda: [*self._created(since, until, count)])

    def _created(self, since: datetime, until: datetime, count: int) -> Iterator[BatchStatus]:
        for batch in self._client.messages.batches.list(limit=PAGE):  # the latest first
            if batch.created_at < since:
                return
            of = batch.request_counts
            requests = of.processing + of.succeeded + of.errored + of.canceled + of.expired
            if batch.created_at <= until and requests == count:
                yield _status(batch)

    def status(self, batch_id: str) -> BatchStatus:
        """Return a batch as it is now."""
        return _status(self._ask(lambda: self._client.messages.batches.retrieve(batch_id)))

    def cancel(self, batch_id: str) -> None:
        """Cancel a batch; one that has ended is left as it is."""
        try:
            self._ask(lambda: self._client.messages.batches.cancel(batch_id))
        except ModelError as error:
            if error.error_type not in ("bad_request", "rejected"):
                raise

    def results(self, batch_id: str) -> Iterator[BatchItem]:
        """Yield the results of a batch that has ended."""
        lines = self._ask(lambda: self._client.messages.batches.results(batch_id))
        with contextlib.closing(lines):
            while (line := self._ask(lambda: next(lines, None))) is not None:
                yield _item(line)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, request: Callable[[], T]) -> T:
        try:
            return request()
        except FOREIGN_ERRORS as error:
            problem = process_fault(error) or translated(
                CLAUDE, error, None, (self._client.api_key or "",), self._now()
            )
        raise problem  # out here, so that the foreign error, which may quote the key, is not chained


def _status(batch: MessageBatch) -> BatchStatus:
    ended = batch.ended_at if batch.processing_status == "ended" else None
    return BatchStatus(batch_id=batch.id, created_at=batch.created_at, ended_at=ended)


def _item(line: MessageBatchIndividualResponse) -> BatchItem:
    result = line.result
    if result.type == "succeeded":
        try:
            return BatchItem(custom_id=line.custom_id, reply=_reply(result.message.to_dict()))
        except ModelError as error:
            return BatchItem(custom_id=line.custom_id, error=error)
    if result.type == "errored":
        named, said = result.error.error.type, result.error.error.message
        kind = BY_TYPE.get(named, "server_error")
        kind = by_words(said) if kind == "bad_request" else kind
        what = f"Claude's batch has an error for this request: {said[:500]}"
        return BatchItem(custom_id=line.custom_id, error=failure(kind, what, unbilled=True))
    return BatchItem(custom_id=line.custom_id)


def _reply(message: dict[str, Any]) -> ModelReply:
    answer = ClaudeAnswer(lambda: 0.0)
    try:
        answer.take({**message, "type": "message"})
    except ValueError:
        raise failure("bad_reply", "A reply in Claude's batch cannot be read.") from None
    return dataclasses.replace(answer.reply(), first_token_seconds=None)
