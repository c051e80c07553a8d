"""A language model from a GGUF file, run in this process by llama.cpp."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from streams.core.errors import ConfigError, ModelError
from streams.models.providers.local_engine import Chunk, EngineSettings, LlamaEngine, open_llama
from streams.models.providers.local_grammar import bad_request
from streams.models.providers.local_probe import holds
from streams.models.providers.local_request import completion_body
from streams.models.providers.protocol import ModelReply, ModelRequest, Token

STOP_REASONS: Final[Mapping[str, str]] = {"stop": "end_turn", "length": "max_tokens"}
MAX_WAITING: Final = 1_000
REST_SECONDS: Final = 1.0
"""Lets llama.cpp's loop rest before it is freed: a busy one misses the signal to end, and the library then
waits for it forever, with the interpreter lock."""


@dataclass(slots=True, eq=False)
class _Generation:
    """Gathers the chunks of one completion; called in the library's thread, True stops the library."""

    started: float
    clock: Callable[[], float]
    stopped: threading.Event = field(default_factory=threading.Event)
    texts: list[str] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    usage: Mapping[str, Any] = field(default_factory=dict)
    first_token_seconds: float | None = None
    stop_reason: str | None = None
    response_id: str | None = None
    failure: ModelError | None = None

    def __call__(self, chunk: Chunk) -> bool:
        try:
            self._read(chunk)
        except ModelError as error:  # kept, because the library swallows what a callback raises
            self.failure = error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            what = f"llama.cpp sent a chunk that cannot be read: {error!r}."
            self.failure = ModelError("bad_reply", what, retryable=False)
        return self.failure is not None or self.stopped.is_set()

    def _read(self, chunk: Chunk) -> None:
        if "choices" not in chunk:
            raise _refused(chunk.get("error", chunk))
        self.response_id = chunk.get("id") or self.response_id
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk["choices"]:
            if text := choice["delta"].get("content"):
                if self.first_token_seconds is None:
                    self.first_token_seconds = self.clock() - self.started
                self.texts.append(text)
            for token in (choice.get("logprobs") or {}).get("content") or ():
                self.tokens.append(Token(token["token"], token["logprob"]))
            self.stop_reason = choice["finish_reason"] or self.stop_reason

    def reply(self, model: str) -> ModelReply:
        """Return the whole answer. Raises what went wrong, and ModelError when the answer has no end."""
        if self.failure is not None:
            raise self.failure
        if self.stop_reason is None:
            raise ModelError("bad_reply", f"llama.cpp ended {model} without an answer.", retryable=True)
        return ModelReply(
            text="".join(self.texts),
            model=model,
            stop_reason=STOP_REASONS.get(self.stop_reason, self.stop_reason),
            input_tokens=self.usage.get("prompt_tokens"),
            output_tokens=self.usage.get("completion_tokens"),
            cache_read_tokens=(self.usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            first_token_seconds=self.first_token_seconds,
            response_id=self.response_id,
            tokens=tuple(self.tokens),
        )


class LocalModel:
    """One model file as a LanguageModel, answering `parallel` requests at once and the others in order.

    `context` is the longest prompt and answer together, in tokens, of one request. `threads` are shared by all
    requests; they wait for each other in a busy loop, so more threads than free cores are much slower. `verbosity` is
    llama.cpp's own log level on stderr, -1 for none. Text of an event that looks like a control token of the chat
    template is split, so that no event ends its own turn. A character that the model writes in several tokens is one
    Token of the reply.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        context: int,
        parallel: int,
        verbosity: int = -1,
        open_engine: Callable[[EngineSettings], LlamaEngine] = open_llama,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if min(threads, context, parallel) < 1:
            raise ConfigError("threads, context and parallel of a local model must be 1 or more.")
        self._settings = EngineSettings(path, threads, context, parallel, verbosity)
        self._open_engine = open_engine
        self._clock = clock
        self._workers = ThreadPoolExecutor(parallel, thread_name_prefix=f"local-{path.stem}")
        self._slots = asyncio.Semaphore(parallel)
        self._waiting = 0
        self._loading: asyncio.Future[None] | None = None
        self._engine: LlamaEngine | None = None
        self._running: set[_Generation] = set()
        self._closed = False

    async def load(self) -> None:
        """Load the model, once. Raises ConfigError or ModelError.

        Await it before messages flow: the library holds the interpreter lock for a second or more.
        """
        if self._closed:
            raise ModelError("unreachable", f"{self._settings.path.stem} is closed.", retryable=False)
        if self._loading is None or (self._loading.done() and self._engine is None):
            self._loading = asyncio.get_running_loop().run_in_executor(self._workers, self._open)
        await asyncio.shield(self._loading)

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """Answer within `timeout` seconds, loading and waiting for a slot included, or raise ModelError.

        At the time-out the generation is stopped, at the latest after the batch it is in.
        """
        body = completion_body(request)
        if self._waiting >= MAX_WAITING:
            what = f"{MAX_WAITING} requests wait for {request.model}."
            raise ModelError("overloaded", what, retryable=True)
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout):
                await self.load()
                await self._slots.acquire()
                return await self._generate(body)
        except TimeoutError:
            what = f"{request.model} did not answer within {timeout:g} s."
            remedy = "Raise the timeout or shorten the prompt."
            raise ModelError("timeout", what, remedy, retryable=True) from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        self._closed = True
        for generation in self._running:
            generation.stopped.set()
        await asyncio.to_thread(self._free)

    def _open(self) -> None:
        try:
            self._engine = self._open_engine(self._settings)
        except (RuntimeError, ValueError, MemoryError, OSError) as error:
            what = f"llama.cpp could not load {self._settings.path}: {error}"
            remedy = "Check the file and the free memory."
            raise ModelError("server_error", what, remedy, retryable=False) from error

    async def _generate(self, body: dict[str, Any]) -> ModelReply:
        """Run one completion in a thread. The slot is freed when the thread is done, not when the caller is."""
        generation = _Generation(self._clock(), self._clock)

        def done(_: object) -> None:
            self._running.discard(generation)
            self._slots.release()

        self._running.add(generation)
        running = asyncio.get_running_loop().run_in_executor(self._workers, self._run, body, generation)
        running.add_done_callback(done)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            generation.stopped.set()
            raise
        return generation.reply(self._settings.path.stem)

    def _run(self, body: dict[str, Any], generation: _Generation) -> None:
        if self._engine is None:
            raise ModelError("unreachable", f"{self._settings.path.stem} is closed.", retryable=False)
        if "grammar" in body and not holds(body["grammar"]):
            raise bad_request("llama.cpp cannot hold the model to the answer's schema; `escalon check` says why")
        try:
            self._engine.handle_chat_completions(body, generation)
        except ValueError as error:  # the library's type for an invalid request
            raise ModelError("bad_request", f"llama.cpp: {error}", retryable=False) from error
        except Exception as error:
            raise ModelError("server_error", f"llama.cpp: {error}", retryable=True) from error

    def _free(self) -> None:
        self._workers.shutdown(wait=True, cancel_futures=True)
        if self._engine is not None:
            time.sleep(REST_SECONDS)
            self._engine = None


def _refused(error: Mapping[str, Any]) -> ModelError:
    """Return the library's own error body as a ModelError."""
    if error.get("type") == "exceed_context_size_error":
        what = f"the prompt has {error.get('n_prompt_tokens')} tokens, the context holds {error.get('n_ctx')}"
        remedy = "Shorten the prompt, or raise the model's context."
        return ModelError("too_large", f"{what}.", remedy, retryable=False, unbilled=True)
    if error.get("code") == 400:
        return bad_request(f"llama.cpp: {error.get('message')}")
    return ModelError("server_error", f"llama.cpp: {error.get('message', error)}", retryable=True)
