"""Answers from a cassette instead of a provider, and the recording of one.

A cassette is a file of JSON lines: `key`, `request`, `seconds`, and either `reply` or `error`. Answers to
one request are replayed in the order they were recorded, so that a failure and its retry, or several samples,
come back as they were; the last one is repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from streams.core.errors import ConfigError, ModelError, ProcessError
from streams.models.providers.protocol import ImagePart, LanguageModel, ModelReply, ModelRequest

LARGEST_CASSETTE_BYTES = 256 * 2**20
"""A cassette is held in memory whole, so a larger one is refused."""


def request_key(request: ModelRequest) -> str:
    """Return the SHA-256, in hex, of the request's canonical JSON: sorted keys, no spaces, UTF-8."""
    return hashlib.sha256(_compact(_request_fields(request)).encode()).hexdigest()


def cassette_line(request: ModelRequest, answer: ModelReply | ModelError, seconds: float) -> str:
    """Return one answer as a line of a cassette, with its line end; the answer took `seconds`."""
    line: dict[str, Any] = {
        "key": request_key(request),
        "request": _request_fields(request),
        "seconds": seconds,
    }
    if isinstance(answer, ModelError):
        line["error"] = {name: getattr(answer, name) for name in _RecordedError.model_fields}
    else:
        line["reply"] = asdict(answer)
    return _compact(line) + "\n"


class RecordedModel:
    """Answers from a cassette. `pace` multiplies the recorded time to wait; 0 answers at once.

    Raises ConfigError, with the line's number, for a cassette that is missing, too large or broken.
    """

    def __init__(
        self,
        cassette: Path,
        pace: float = 0.0,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        largest_bytes: int = LARGEST_CASSETTE_BYTES,
    ) -> None:
        self._cassette = cassette
        self._pace = pace
        self._sleep = sleep
        self._answers = _load(cassette, largest_bytes)
        self._next: dict[str, int] = {}

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """Return the recorded reply or raise the recorded ModelError; `not_recorded` for a missing request."""
        line = self._take(request)
        wait = line.seconds * self._pace
        if wait > 0:
            await self._sleep(min(wait, timeout))
        if wait > timeout:
            raise ModelError("timeout", f"The recorded answer takes {wait:g} s.", "Lower pace.", retryable=True)
        if line.error is not None:
            raise line.error.as_error()
        assert line.reply is not None  # noqa: S101 (a line has exactly one of the two)
        return line.reply

    async def close(self) -> None: ...

    def _take(self, request: ModelRequest) -> _Line:
        key = request_key(request)
        if key not in self._answers:
            raise ModelError(
                "not_recorded",
                f"{self._cassette} holds no answer of {request.model} to this prompt (key {key[:12]}).",
                "Record it: run the same input with RecordingModel around a real model and this file.",
                retryable=False,
            )
        answers = self._answers[key]
        position = self._next.get(key, 0)
        self._next[key] = min(position + 1, len(answers) - 1)
        return answers[position]


class RecordingModel:
    """Asks `inner` and appends every answer and every ModelError to the cassette.

    Several processes may append to one file. Raises ProcessError when the file cannot be written: another try would pay
    the model again for an answer that cannot be kept.
    """

    def __init__(self, inner: LanguageModel, cassette: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._cassette = cassette
        self._clock = clock
        try:
            cassette.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(cassette, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"{cassette} cannot be written: {error}.", "Name a writable file.") from error

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """Return or raise what `inner` does, after it has been written to the file."""
        started = self._clock()
        try:
            reply = await self._inner.ask(request, timeout)
        except ModelError as error:
            self._append(cassette_line(request, error, self._clock() - started))
            raise
        self._append(cassette_line(request, reply, self._clock() - started))
        return reply

    async def close(self) -> None:
        os.close(self._file)
        await self._inner.close()

    def _append(self, line: str) -> None:
        data = line.encode()
        # One write to a file opened for appending is not interleaved with that of another process; a buffered
        # file would cut it into several.
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise ProcessError(f"{self._cassette} takes no more answers: {error}.", "Free disk space.") from error
        if written < len(data):
            raise ProcessError(
                f"{self._cassette} took only a part of an answer.",
                "Free disk space, then delete its last line.",
            )


class _RecordedError(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    error_type: str
    what: str
    remedy: str
    retryable: bool
    retry_after: float | None
    request_id: str | None
    unbilled: bool = False

    def as_error(self) -> ModelError:
        return ModelError(**self.model_dump())


def _with_images(request: Any) -> Any:
    """Return the fields of a request with an ImagePart, without its bytes, for each hash of an image."""
    if not isinstance(request, dict) or not isinstance(hashes := request.get("images"), list):
        return request
    return {**request, "images": [ImagePart(str(sha256), "", b"") for sha256 in hashes]}


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    request: Annotated[ModelRequest, BeforeValidator(_with_images)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    reply: ModelReply | None = None
    error: _RecordedError | None = None


def _load(cassette: Path, largest_bytes: int) -> dict[str, list[_Line]]:
    record = "Record it with RecordingModel around a real model, or name another file."
    if not cassette.is_file():
        raise ConfigError(f"there is no cassette {cassette}.", record)
    if cassette.stat().st_size > largest_bytes:
        raise ConfigError(f"{cassette} is larger than {largest_bytes} bytes.", "Split it.")
    answers: dict[str, list[_Line]] = {}
    with cassette.open("rb") as lines:
        for number, text in enumerate(lines, start=1):
            line = _parse(text, f"{cassette}, line {number}")
            answers.setdefault(line.key, []).append(line)
    return answers


def _parse(text: bytes, where: str) -> _Line:
    remedy = "Delete the line and record the answer again."
    try:
        line = _Line.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where} is broken: {place} {first['msg']}.", remedy) from None
    if (line.reply is None) == (line.error is None):
        raise ConfigError(f"{where} must hold either a reply or an error.", remedy)
    if line.key != request_key(line.request):
        raise ConfigError(f"{where} has a key that is not its request's.", remedy)
    return line


def _request_fields(request: ModelRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": request.model,
        "system": request.system,
        "prompt": request.prompt,
        "max_tokens": request.max_tokens,
        "schema": request.schema,
        "parameters": request.parameters,
    }
    if request.images:  # by their hashes alone; the key of a request without images is as it was before there were any
        fields["images"] = [image.sha256 for image in request.images]
    return fields


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_as_dict)


def _as_dict(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    what = f"a {type(value).__name__} in a request has no JSON form."
    raise ConfigError(what, "Write schemas and parameters as JSON values.", "parameters")
