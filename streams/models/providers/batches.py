"""The interface of a provider's batch API: many requests at once, answered within a day, at a lower price."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from streams.core.errors import ModelError
from streams.models.providers.protocol import ModelReply, ModelRequest, Token

ItemEnd = Literal["answered", "failed", "unprocessed"]


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request of a batch. `custom_id`: at most 64 letters, digits, hyphens and underscores."""

    custom_id: str
    request: ModelRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """A batch as its provider describes it."""

    batch_id: str
    created_at: datetime
    ended_at: datetime | None = None
    """None while it is processed or being cancelled."""
    refused: bool = False
    """True if its provider ended it without having begun a request, because of its form."""
    certain: bool = False
    """Of a batch that was searched for: True if the provider's own record names the intent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """The result of one request: a reply, an error, or neither, for one that was cancelled or has expired."""

    custom_id: str
    reply: ModelReply | None = None
    error: ModelError | None = None


class BatchAPI(Protocol):
    """A provider's batches. Every method raises ModelError; it blocks, for at most REQUEST_SECONDS."""

    def create(self, intent_id: str, requests: Sequence[BatchRequest]) -> BatchStatus:
        """Create a batch. It is not idempotent: after an error it may exist."""
        ...

    def find(self, intent_id: str, since: datetime, until: datetime, count: int) -> Sequence[BatchStatus]:
        """Return the batches that `create` may have made for an intent: of this time, with so many requests."""
        ...

    def status(self, batch_id: str) -> BatchStatus:
        """Return a batch as it is now."""
        ...

    def cancel(self, batch_id: str) -> None:
        """Have the requests that were not begun cancelled; without effect on a batch that has ended."""
        ...

    def results(self, batch_id: str) -> Iterator[BatchItem]:
        """Yield the results of a batch that has ended, in any order."""
        ...

    def close(self) -> None:
        """Close the connections; no other method may follow."""
        ...


REQUEST_SECONDS = 60.0
"""The timeout of one request to a batch API."""
MOST_REQUESTS, MOST_BYTES = 10_000, 64_000_000
"""The size of a batch. Anthropic takes 100,000 requests and 256 MB, OpenAI 50,000 and 200 MB:
https://platform.claude.com/docs/en/build-with-claude/batch-processing
https://platform.openai.com/docs/guides/batch
"""


def was_not_created(error: ModelError) -> bool:
    """True if an error of `create` proves that there is no batch."""
    sure = ("bad_request", "too_large", "rejected", "not_found", "unauthorized", "rate_limited", "unreachable")
    return error.unbilled and error.error_type in sure


def reply_text(reply: ModelReply) -> str:
    """Return a reply as JSON."""
    return json.dumps(dataclasses.asdict(reply), ensure_ascii=False)


def reply_of(text: str) -> ModelReply:
    """Return the reply of a JSON text; fields that this version does not have are left out."""
    known = {field.name for field in dataclasses.fields(ModelReply)}
    given: dict[str, Any] = {name: value for name, value in json.loads(text).items() if name in known}
    return ModelReply(**given | {"tokens": tuple(Token(**one) for one in given.get("tokens", ()))})
