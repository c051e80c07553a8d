"""Weights of local models: fetched from Hugging Face, verified, and found again.

huggingface_hub resumes what an earlier download left, and takes `HF_ENDPOINT` (a mirror) and `HF_TOKEN` from the
environment. Wherever the bytes come from, only a file with the pinned size and SHA-256 stays.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streams.core.errors import ConfigError, ServiceError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Weights:
    """A file in GGUF format, in a repository at Hugging Face. Its hash pins the content, so `main` is safe to name."""

    repository: str
    size: int
    sha256: str
    revision: str = "main"


KNOWN: Mapping[str, Weights] = {
    "qwen2.5-coder-1.5b-instruct-q4_k_m": Weights(
        repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
    "qwen2.5-coder-0.5b-instruct-q4_k_m": Weights(
        repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
}
"""By name; the file in the repository is the name with `.gguf`. Both are under the licence Apache-2.0."""


def pull(name: str, directory: Path) -> Path:
    """Put the known weights `name` into `directory`, unless they are there already, and return their path.

    Several processes may pull at once: one works, the others wait for it. Raises ConfigError for an unknown name and
    ServiceError when the right file could not be fetched or stored.
    """
    return fetch(name, known(name), directory)


def fetch(name: str, weights: Weights, directory: Path, *, endpoint: str | None = None) -> Path:
    """Do the work of `pull`, also for weights that are not in the table; `endpoint` instead of Hugging Face's."""
    target = _place(name, directory)
    try:
        with locked(directory / f".{name}.lock"):
            if not is_genuine(target, weights):
                _download(target, weights, endpoint)
    except OSError as error:
        what = f"Cannot store {name} in {directory}: {error}."
        raise ServiceError(what, "Free or repair the disk.") from error
    return target


def installed(directory: Path) -> dict[str, Path]:
    """Return the known weights in `directory` that have the right size; `pull` also checks the hash."""
    paths = {name: _place(name, directory) for name in KNOWN}
    return {name: path for name, path in paths.items() if path.is_file() and path.stat().st_size == KNOWN[name].size}


def path_of(name: str, directory: Path) -> Path:
    """Return the file of the known weights `name`. Raises ConfigError when they are unknown or not yet pulled."""
    known(name)
    if name not in installed(directory):
        raise ConfigError(f"The weights {name} are not in {directory}.", f"Run `escalon models pull {name}`.")
    return _place(name, directory)


def known(name: str) -> Weights:
    """Return the table's entry for `name`. Raises ConfigError when there is none."""
    if name not in KNOWN:
        raise ConfigError(f"No weights are known by the name {name}.", f"Use one of: {', '.join(KNOWN)}.")
    return KNOWN[name]


def is_genuine(path: Path, weights: Weights) -> bool:
    """True if the file has the pinned size and SHA-256. A file that has not is deleted."""
    if not path.exists():
        return False
    if path.stat().st_size == weights.size:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == weights.sha256:
                return True
    log.warning("%s has another size or SHA-256 than the pinned one. It is deleted.", path)
    path.unlink()
    return False


def _download(target: Path, weights: Weights, endpoint: str | None) -> None:
    from huggingface_hub import hf_hub_download  # a third of a second, for the command that needs it

    try:
        hf_hub_download(
            weights.repository, target.name, revision=weights.revision, local_dir=target.parent, endpoint=endpoint
        )
    except Exception as error:  # it raises the errors of its HTTP client, and others, as they are
        what = f"Cannot fetch {target.stem} from Hugging Face: {type(error).__name__}: {error}"
        remedy = (
            "Check the network, or set HF_ENDPOINT to a mirror, and pull again: the part that arrived is kept. "
            f"Or put the file with SHA-256 {weights.sha256} at {target} yourself."
        )
        raise ServiceError(what, remedy) from error
    if not is_genuine(target, weights):
        what = f"Hugging Face gave a file for {target.stem} with another size or SHA-256, which was deleted."
        raise ServiceError(what, "Look at the repository, or at the mirror in HF_ENDPOINT, and pull again.")


def _place(name: str, directory: Path) -> Path:
    return directory / f"{name}.gguf"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file alone, waiting for another process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
