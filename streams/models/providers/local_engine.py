"""llama.cpp in this process: the model file loaded, silent, and not reachable from outside."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from streams.core.errors import ConfigError

# A generation can be stopped only between batches, so a batch must not take seconds.
BATCH_TOKENS: Final = 256
# Evaluated prompts beyond those in the slots, kept for other handlers' system prompts.
PROMPT_CACHE_MIB: Final = 256
READ_BYTES: Final = 1 << 22

Chunk = Mapping[str, Any]


class LlamaEngine(Protocol):
    """The part of the library's interface that is used."""

    def handle_chat_completions(self, prompt: dict[str, Any], callback: Callable[[Chunk], bool]) -> None:
        """Run one completion to its end, or until the callback returns True; blocks the calling thread."""
        ...


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings for running a model. `context` is in tokens a request, prompt and answer together."""

    path: Path
    threads: int
    context: int
    parallel: int
    verbosity: int


def open_llama(settings: EngineSettings) -> LlamaEngine:
    """Load the model; blocks for seconds. Raises ConfigError without the library or the file."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError("Local models need llama.cpp.", "Install the extra `local`: `pip install '.[local]'`.")
    if not settings.path.is_file():
        raise ConfigError(f"There are no weights at {settings.path}.", "Run `escalon models pull`.")
    _read_through(settings.path)
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(settings.path)
    parameters.n_ctx = settings.context * settings.parallel
    parameters.n_parallel = settings.parallel
    parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = settings.threads
    parameters.cache_prompt = True
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    # Else the library splits text that looks like a tool call, and tokens and text no longer agree.
    parameters.force_pure_content_parser = True
    parameters.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    parameters.verbosity = settings.verbosity
    parameters.warmup = False
    parameters.n_threads_http = 1
    # The library insists on serving HTTP. It gets a socket in a private directory that is deleted at once.
    with tempfile.TemporaryDirectory(prefix="escalon-") as private:
        parameters.hostnames = [f"{private}/unused.sock"]
        engine: LlamaEngine = xllamacpp.Server(parameters)
    return engine


def _read_through(path: Path) -> None:
    """Bring the file into the page cache, because the library keeps all threads waiting while it loads."""
    buffer = bytearray(READ_BYTES)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
