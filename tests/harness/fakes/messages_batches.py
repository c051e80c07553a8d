"""A fake of Anthropic's Message Batches beside the Messages API, which answers the requests of a batch."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from aiohttp import web

from tests.harness.fakes.books import Billed
from tests.harness.fakes.messages_outcomes import Answer, AnswerFunction, Failure, answer_by_schema
from tests.harness.fakes.messages_server import MessagesServer

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass
class Batch:
    """One batch; its results are made when it ends."""

    name: str
    requests: list[Mapping[str, Any]]
    began: float = field(default_factory=time.monotonic)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancelled: bool = False
    ended_at: datetime | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)


class BatchesServer(MessagesServer):
    """Ends a batch `seconds` after its creation; `batch_books` says what its answered requests are billed, in full."""

    def __init__(self, answer: AnswerFunction = answer_by_schema, port: int = 0, seconds: float = 0.0) -> None:
        super().__init__(answer, port)
        self.seconds = seconds
        self.batches: dict[str, Batch] = {}
        self.batch_books: list[Billed] = []
        self.refusals: list[Failure] = []
        """The answers to the next creations."""
        self._numbers = count(1)

    def _add_routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/messages/batches", self._create)
        app.router.add_get("/v1/messages/batches", self._list)
        app.router.add_get("/v1/messages/batches/{name}", self._retrieve)
        app.router.add_post("/v1/messages/batches/{name}/cancel", self._cancel)
        app.router.add_get("/v1/messages/batches/{name}/results", self._results)

    async def _create(self, request: web.Request) -> web.Response:
        if self.refusals:
            return self._error(self.refusals.pop(0), "req_batch")
        wanted = (await request.json())["requests"]
        names = [one["custom_id"] for one in wanted]
        if not names or len(set(names)) < len(names) or not all(map(CUSTOM_ID.fullmatch, names)):
            return self._error(Failure(400, "requests: custom_id must be unique and match the pattern"), "req_batch")
        batch = Batch(f"msgbatch_{next(self._numbers):04d}", wanted)
        self.batches[batch.name] = batch
        return web.json_response(self._shown(batch, request))

    async def _list(self, request: web.Request) -> web.Response:
        shown = [self._shown(batch, request) for batch in reversed(self.batches.values())]
        return web.json_response({"data": shown, "has_more": False, "first_id": None, "last_id": None})

    async def _retrieve(self, request: web.Request) -> web.Response:
        batch = self.batches.get(request.match_info["name"])
        if batch is None:
            return self._error(Failure(404, "no such batch"), "req_batch")
        return web.json_response(self._shown(batch, request))

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["name"]]
        batch.cancelled = True
        return web.json_response(self._shown(batch, request))

    async def _results(self, request: web.Request) -> web.Response:
        lines = [json.dumps(line) for line in self.batches[request.match_info["name"]].lines]
        return web.Response(body="\n".join(lines).encode(), content_type="application/x-jsonl")

    def _shown(self, batch: Batch, request: web.Request) -> dict[str, Any]:
        if batch.ended_at is None and (batch.cancelled or time.monotonic() - batch.began >= self.seconds):
            batch.lines = [self._line(one, cancelled=batch.cancelled) for one in batch.requests]
            batch.ended_at = datetime.now(UTC)
        ended, kinds = batch.ended_at is not None, [line["result"]["type"] for line in batch.lines]
        address = f"http://{request.host}/v1/messages/batches/{batch.name}"
        return {
            "id": batch.name,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {
                "processing": 0 if ended else len(batch.requests),
                **{kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")},
            },
            "created_at": batch.created_at.isoformat(),
            "expires_at": batch.created_at.isoformat(),
            "ended_at": batch.ended_at.isoformat() if batch.ended_at else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{address}/results" if ended else None,
        }

    def _line(self, wanted: Mapping[str, Any], *, cancelled: bool) -> dict[str, Any]:
        return {"custom_id": wanted["custom_id"], "result": self._result(wanted["params"], cancelled=cancelled)}

    def _result(self, body: Mapping[str, Any], *, cancelled: bool) -> dict[str, Any]:
        if cancelled:
            return {"type": "canceled"}
        wrong = self._wrong_with({"x-api-key": "k"}, body)
        outcome = wrong or self._made(body)
        if isinstance(outcome, Failure):
            kind = "invalid_request_error" if outcome.status == 400 else "api_error"
            error = {"type": "error", "request_id": None, "error": {"type": kind, "message": outcome.message}}
            return {"type": "errored", "error": error}
        assert isinstance(outcome, Answer)
        message = self._message(body, outcome, f"req_{next(self._ids):06d}")
        self.batch_books.append(self.books.pop())
        return {"type": "succeeded", "message": message}
