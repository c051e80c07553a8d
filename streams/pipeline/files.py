"""The files of a pipeline, read and hashed."""

from __future__ import annotations

import importlib.util
from importlib.resources import files as package_files
from pathlib import Path

from streams.core.errors import ConfigError
from streams.core.fingerprint import digest

LARGEST_TEXT_BYTES, LARGEST_BYTES = 8_000_000, 1 << 30
"""Limits for prompts, schemas and the pipeline file itself, and for artifacts."""


def module_of(path: str) -> str:
    """Return the module of `package.module:function`."""
    return path.partition(":")[0]


def module_file(path: str) -> str:
    """Return the module's file, relative to the directory that Python would search."""
    return f"{module_of(path).replace('.', '/')}.py"


def is_beside(directory: Path, path: str) -> bool:
    """True if the module of `package.module:function` is in the pipeline file's directory."""
    return (directory / module_file(path)).is_file()


class PipelineFiles:
    """Every file of a pipeline, read once and kept for the hash."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._seen: dict[str, bytes] = {}

    def read(self, name: str, key: str, made_by: str = "") -> str:
        """Read a UTF-8 file; `key` is the pipeline file's key that names it, `made_by` the command that makes it."""
        try:
            return self._read(name, key, LARGEST_TEXT_BYTES, made_by).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name} is not UTF-8.", "Save it as UTF-8.", key) from error

    def read_bytes(self, name: str, key: str, made_by: str = "") -> bytes:
        """Read any file, as `read` does."""
        return self._read(name, key, LARGEST_BYTES, made_by)

    def _read(self, name: str, key: str, largest: int, made_by: str) -> bytes:
        path = self.directory / name
        try:
            if path.exists() and not path.is_file():  # a device or a pipe may never end
                raise ValueError("it is not a regular file")
            if path.stat().st_size > largest:
                raise ValueError(f"it has more than {largest} bytes")
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            made = f"Make it with `{made_by} --out {path}`, or give" if made_by else "Give"
            remedy = f"{made} a path relative to {self.directory} to a file that can be read."
            raise ConfigError(f"{name} cannot be read ({getattr(error, 'strerror', error)}).", remedy, key) from error
        return self.remember(name, data)

    def module(self, path: str, key: str) -> bytes:
        """Return the source of the module of `package.module:function`, so that editing it makes a new version.

        The module is looked for beside the pipeline file, then on Python's path.
        """
        module = module_of(path)
        if is_beside(self.directory, path):
            return self.read_bytes(module_file(path), key)
        try:
            found = importlib.util.find_spec(module)
        except Exception:  # finding a module inside a package runs the package
            found = None
        if found is None or found.origin is None or not found.has_location:
            remedy = f"Put it beside the pipeline file, in {self.directory}, or install its package."
            raise ConfigError(f"the module {module} cannot be found.", remedy, key)
        return self.remember(f"module:{module}", Path(found.origin).read_bytes())

    def remember(self, name: str, data: bytes) -> bytes:
        """Add something that was read elsewhere to the hash."""
        self._seen[name] = data
        return data

    def shipped(self, name: str) -> str:
        """Return the text of a file that ships with escalon."""
        text = (package_files("streams.pipeline") / name).read_text("utf-8")
        self._seen[f"escalon:{name}"] = text.encode()
        return text

    def digest(self) -> str:
        return digest(*(part for name in sorted(self._seen) for part in (name, self._seen[name])))
