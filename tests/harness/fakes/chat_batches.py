"""A fake of OpenAI's Files and Batch APIs beside Chat Completions, which answers the requests of a batch."""

from __future__ import annotations

import json
import time
from itertools import count
from typing import Any

from aiohttp import web

from tests.harness.fakes.books import Billed
from tests.harness.fakes.chat_server import ChatServer, chat_answer_by_schema
from tests.harness.fakes.messages_outcomes import Answer, AnswerFunction, Failure


class ChatBatchesServer(ChatServer):
    """Ends a batch `seconds` after its creation; `batch_books` says what its answered requests are billed, in full."""

    def __init__(self, answer: AnswerFunction = chat_answer_by_schema, port: int = 0, seconds: float = 0.0) -> None:
        super().__init__(answer, port)
        self.seconds = seconds
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.batch_books: list[Billed] = []
        self.refusals: list[Failure] = []
        """The answers to the next creations."""
        self.invalid = False
        """True: a new batch fails in its validation."""
        self._numbers = count(1)

    def _add_routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{name}/content", self._content)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches", self._list)
        app.router.add_get("/v1/batches/{name}", self._retrieve)
        app.router.add_post("/v1/batches/{name}/cancel", self._cancel)

    def _keep(self, content: bytes) -> str:
        name = f"file-{next(self._numbers):04d}"
        self.files[name] = content
        return name

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        assert form["purpose"] == "batch"
        name, content = self._keep(file.file.read()), file.filename
        file.file.close()
        shown = {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": content, "purpose": "batch"}
        return web.json_response(shown | {"status": "processed"})

    async def _content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["name"]])

    async def _create(self, request: web.Request) -> web.Response:
        if self.refusals:
            return self._error(self.refusals.pop(0), "req_batch")
        body = await request.json()
        now, name = int(time.time()), f"batch_{next(self._numbers):04d}"
        status = "failed" if self.invalid else "in_progress"
        ended = {"failed_at": now} if self.invalid else {}
        self.batches[name] = body | ended | {"id": name, "object": "batch", "created_at": now, "status": status}
        self.batches[name]["began"] = time.monotonic()
        return web.json_response(self._shown(name))

    async def _list(self, _: web.Request) -> web.Response:
        shown = [self._shown(name) for name in reversed(self.batches)]
        return web.json_response({"object": "list", "data": shown, "has_more": False})

    async def _retrieve(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.batches:
            return self._error(Failure(404, "no such batch"), "req_batch")
        return web.json_response(self._shown(name))

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["name"]]
        if batch["status"] == "in_progress":
            lines = [{"custom_id": one["custom_id"], "response": None, "error": {"code": "batch_cancelled"}}
                     for one in self._requests(batch)]  # fmt: skip
            batch |= {"status": "cancelled", "cancelled_at": int(time.time()), "error_file_id": self._file(lines)}
        return web.json_response(self._shown(batch["id"]))

    def _requests(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]

    def _file(self, lines: list[dict[str, Any]]) -> str | None:
        return self._keep("\n".join(map(json.dumps, lines)).encode()) if lines else None

    def _shown(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        if batch["status"] == "in_progress" and time.monotonic() - batch["began"] >= self.seconds:
            lines = [self._line(one) for one in self._requests(batch)]
            good = [one for one in lines if one["response"]["status_code"] == 200]
            bad = [one for one in lines if one not in good]
            files = {"output_file_id": self._file(good), "error_file_id": self._file(bad)}
            batch |= files | {"status": "completed", "completed_at": int(time.time())}
        return {key: value for key, value in batch.items() if key != "began"}

    def _line(self, one: dict[str, Any]) -> dict[str, Any]:
        body = one["body"]
        outcome = self._wrong_with({"authorization": "Bearer k"}, body) or self._made(body)
        if isinstance(outcome, Failure):
            said = {"error": {"message": outcome.message, "type": "invalid_request_error"}}
            return {"custom_id": one["custom_id"], "response": {"status_code": outcome.status, "body": said}}
        assert isinstance(outcome, Answer)
        message = self._message(body, outcome, f"req_{next(self._ids):06d}")
        self.batch_books.append(self.books.pop())
        return {"custom_id": one["custom_id"], "response": {"status_code": 200, "body": message}, "error": None}
