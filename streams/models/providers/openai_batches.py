"""OpenAI's Batch API: https://platform.openai.com/docs/guides/batch

A batch's metadata holds the intent, so one whose creation was not recorded is found by it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import openai
from openai.types import Batch

from streams.core.errors import ModelError
from streams.core.process_fault import process_fault
from streams.models.providers.batches import REQUEST_SECONDS, BatchItem, BatchRequest, BatchStatus
from streams.models.providers.failures import BY_STATUS, failure
from streams.models.providers.openai_answer import ChatAnswer
from streams.models.providers.openai_errors import FOREIGN_ERRORS, translate
from streams.models.providers.openai_request import chat_arguments
from streams.models.providers.protocol import ModelReply
from streams.models.providers.response_bounds import UNCOMPRESSED
from streams.pipeline.dialects import Capabilities

ENDPOINT: Final = "/v1/chat/completions"
PAGE = 100
INTENT = "escalon_intent"
"""The key of a batch's metadata."""
T = TypeVar("T")


class OpenAIBatches:
    """The batches of one API key's project. Is a BatchAPI; retries nothing."""

    def __init__(
        self,
        api_key: str,
        base_url: str | None,
        capabilities: Capabilities,
        headers: Mapping[str, str] | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = openai.OpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            timeout=REQUEST_SECONDS,
            default_headers=headers,
            http_client=openai.DefaultHttpxClient(follow_redirects=False, headers=UNCOMPRESSED),
        )
        if base_url is not None:  # another server has no business with the account's names in the environment
            self._client.organization = self._client.project = None
        self._can = dataclasses.replace(capabilities, stream=False)
        self._now = now

    def create(self, intent_id: str, requests: Sequence[BatchRequest]) -> BatchStatus:
        """Upload the requests, and create a batch of them."""
        lines = "\n".join(map(self._line, requests))
        named = (f"{intent_id}.jsonl", lines.encode(), "application/jsonl")
        file = self._ask(lambda: self._client.files.create(file=named, purpose="batch"))
        made = self._ask(
            lambda: self._client.batches.create(
                input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", metadata={INTENT: intent_id}
            )
        )
        return _status(made)

    def _line(self, one: BatchRequest) -> str:
        body = chat_arguments(one.request, "openai", self._can)
        return json.dumps({"custom_id": one.custom_id, "method": "POST", "url": ENDPOINT, "body": body})

    def find(self, intent_id: str, since: datetime, until: datetime, count: int) -> Sequence[BatchStatus]:  # noqa: ARG002
        """Return the batches whose metadata names the intent."""
        return self._ask(lambda: [*self._named(intent_id, since)])

    def _named(self, intent_id: str, since: datetime) -> Iterator[BatchStatus]:
        for batch in self._client.batches.list(limit=PAGE):  # the latest first
            if _time(batch.created_at) < since:
                return
            if (batch.metadata or {}).get(INTENT) == intent_id:
                yield dataclasses.replace(_status(batch), certain=True)

    def status(self, batch_id: str) -> BatchStatus:
        """Return a batch as it is now."""
        return _status(self._ask(lambda: self._client.batches.retrieve(batch_id)))

    def cancel(self, batch_id: str) -> None:
        """Cancel a batch; one that has ended is left as it is."""
        try:
            self._ask(lambda: self._client.batches.cancel(batch_id))
        except ModelError as error:
            if error.error_type not in ("bad_request", "server_error"):  # of a 409, too
                raise

    def results(self, batch_id: str) -> Iterator[BatchItem]:
        """Yield the results of a batch that has ended, of both of its files."""
        batch = self._ask(lambda: self._client.batches.retrieve(batch_id))
        for name in filter(None, (batch.output_file_id, batch.error_file_id)):
            text = self._ask(lambda name=name: self._client.files.content(name).text)  # type: ignore[misc]
            yield from (_item(json.loads(line)) for line in text.splitlines() if line.strip())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, request: Callable[[], T]) -> T:
        try:
            return request()
        except FOREIGN_ERRORS as error:
            problem = process_fault(error) or translate(error, None, (self._client.api_key,), self._now())
        raise problem  # out here, so that the foreign error, which may quote the key, is not chained


def _status(batch: Batch) -> BatchStatus:
    ends = (batch.completed_at, batch.failed_at, batch.expired_at, batch.cancelled_at)
    ended = next(filter(None, ends), None) if batch.status in ("completed", "failed", "expired", "cancelled") else None
    return BatchStatus(
        batch_id=batch.id,
        created_at=_time(batch.created_at),
        ended_at=_time(ended) if ended is not None else None,
        refused=batch.status == "failed",
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _item(line: Mapping[str, Any]) -> BatchItem:
    named, response = line["custom_id"], line.get("response")
    if not response:  # expired or cancelled
        return BatchItem(custom_id=named)
    status, body = response["status_code"], response["body"]
    if status == 200:
        try:
            return BatchItem(custom_id=named, reply=_reply(body))
        except ModelError as error:
            return BatchItem(custom_id=named, error=error)
    said = (body.get("error") or {}).get("message") if isinstance(body, Mapping) else None
    kind = BY_STATUS.get(status) or ("bad_request" if 400 <= status < 500 else "server_error")
    what = f"The batch has an error for this request ({status}): {str(said)[:500]}"
    return BatchItem(custom_id=named, error=failure(kind, what, unbilled=True))


def _reply(body: Any) -> ModelReply:
    answer = ChatAnswer(lambda: 0.0)
    try:
        answer.take(body)
    except ValueError:
        raise failure("bad_reply", "A reply in the batch cannot be read.") from None
    return dataclasses.replace(answer.reply(), first_token_seconds=None)
