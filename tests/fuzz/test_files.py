"""Broken pipeline files, cassettes and artifacts are ConfigErrors, with any content."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.calibration.artifact import CalibrationArtifact
from streams.core.errors import ConfigError
from streams.models.listeners.classifier import Classifier
from streams.models.listeners.router import Router
from streams.models.providers.cassette import RecordedModel
from streams.models.verifier.artifact import Verifier
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline, parse_spec
from tests.harness.shop import FILES, PIPELINE

LONG = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, "utf-8")
    return tmp_path / "pipeline.toml"


def check_read_or_refused(read: Callable[[], object]) -> None:
    """It is read, or it is a ConfigError with words."""
    try:
        read()
    except ConfigError as error:
        assert str(error)  # noqa: PT017  either way is right


# ---- The pipeline file ----

words = st.sampled_from(
    [*PIPELINE.replace("\n", " \n ").split(" "), "[", "]]", "{", "=", '"', "'''", "nan", "inf", "9999-12-31"]
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates() | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@LONG
@given(st.lists(words, max_size=30).map(" ".join), st.integers(0, len(PIPELINE)), st.integers(0, 60))
def test_a_pipeline_file_with_anything_in_it_is_loaded_or_refused(place: Path, noise: str, at: int, gone: int) -> None:
    place.write_text(PIPELINE[:at] + noise + PIPELINE[at + gone :], "utf-8")
    check_read_or_refused(lambda: load_pipeline(place, ANY_PYTHON))


@LONG
@given(st.data())
def test_a_table_with_any_value_at_any_key_is_taken_or_refused(data: st.DataObject) -> None:
    import tomllib

    table = tomllib.loads(PIPELINE)
    inner: Any = table
    while True:
        key = data.draw(st.sampled_from([*inner, "new"]))
        if isinstance(inner.get(key), dict) and inner[key] and data.draw(st.booleans()):
            inner = inner[key]
        else:
            inner[key] = data.draw(values)
            break
    check_read_or_refused(lambda: parse_spec(table))


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{b = " * 100_000,
        "[" * 100_000,
        "a = " + "9" * 5000,
        "a = 0x" + "f" * 5000,
        '"""',
        "\x00",
        "a = 1e999999",
        "x" * 9_000_000,
    ],
    ids=["arrays", "tables", "headers", "digits", "hex", "open", "null", "exponent", "size"],
)
def test_toml_that_overwhelms_its_reader_is_refused(place: Path, text: str) -> None:
    place.write_text(text, "utf-8")
    with pytest.raises(ConfigError):
        load_pipeline(place, ANY_PYTHON)


def test_a_prompt_that_never_ends_is_not_read(place: Path) -> None:
    os.mkfifo(place.parent / "endless")
    for name in ("endless", "/dev/zero"):
        place.write_text(PIPELINE.replace('"prompt.j2"', f'"{name}"', 1), "utf-8")
        with pytest.raises(ConfigError, match="it is not a regular file"):
            load_pipeline(place, ANY_PYTHON)


# ---- Cassettes ----

LINE = {"key": "k", "request": {"model": "m", "system": "", "prompt": "p", "max_tokens": 5}, "seconds": 0.1}


@LONG
@given(
    st.lists(
        st.binary(max_size=80)
        | values.map(lambda one: json.dumps(LINE | {"reply": one}, default=str).encode())
        | st.dictionaries(st.sampled_from([*LINE, "reply", "error"]), values).map(
            lambda one: json.dumps(one, default=str).encode()
        ),
        max_size=3,
    )
)
def test_a_cassette_with_anything_in_it_is_read_or_refused(tmp_path: Path, lines: list[bytes]) -> None:
    (tmp_path / "cassette.jsonl").write_bytes(b"\n".join(lines))
    check_read_or_refused(lambda: RecordedModel(tmp_path / "cassette.jsonl"))


# ---- Artifacts ----


def npy(shape: tuple[int, ...], body: bytes, kind: str = "|u1") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"shape": shape, "fortran_order": False, "descr": kind})
    return out.getvalue() + body


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return out.getvalue()


HEADER = b'{"format": "escalon-verifier", "version": 1, "layout": {}}'
PLAIN = archive({"header.npy": npy((len(HEADER),), HEADER), "header.json": HEADER})


def marked(offset: int, value: int) -> bytes:
    """An archive whose directory says something else of its first member."""
    data = bytearray(archive({"header.npy": npy((3,), b"abc"), "header.json": b"{}"}))
    data[data.find(b"PK\x01\x02") + offset] = value
    return bytes(data)


BAD: dict[str, Callable[[], bytes]] = {
    "claims terabytes": lambda: archive({"header.npy": npy((10**13,), b""), "header.json": b"{"}),
    "claims gigabytes": lambda: archive({"header.npy": npy((3 * 10**9,), b"x"), "header.json": b""}),
    "a bomb": lambda: archive(
        {"header.npy": npy((10**8,), bytes(10**8)), "header.json": bytes(10**8)}, zipfile.ZIP_DEFLATED
    ),
    "another bomb": lambda: archive({"header.npy": bytes(10**6), "header.json": b" " * 10**6}, zipfile.ZIP_LZMA),
    "nested too deep": lambda: archive({"header.npy": npy((10**6,), b"[" * 10**6), "header.json": b"[" * 10**6}),
    "encrypted": lambda: marked(8, 1),
    "an unknown method": lambda: marked(10, 99),
    "objects": lambda: archive({"header.npy": npy((1,), b"cos\nsystem\n(S'true'\ntR.", "|O"), "header.json": b"null"}),
    "empty": lambda: b"",
    "text": lambda: b"no artifact",
}
READERS: dict[str, Callable[[bytes, Path], object]] = {
    "classifier": lambda data, _: Classifier.from_bytes(data, "x.npz"),
    "verifier": lambda data, _: Verifier.from_bytes(data, "x.npz"),
    "router": lambda data, path: (path.write_bytes(data), Router.load(path)),
}


@cache
def bad(name: str) -> bytes:
    return BAD[name]()


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_not_an_artifact_is_refused_and_no_bomb_goes_off(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(ConfigError):
        READERS[kind](bad(name), tmp_path / "x.zip")


@pytest.mark.parametrize("kind", READERS)
def test_an_artifact_with_any_bytes_damaged_is_refused(tmp_path: Path, kind: str) -> None:
    draw = random.Random(kind)
    for _ in range(400):
        data = bytearray(PLAIN)
        for _ in range(draw.choice((1, 2, 8))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        broken = bytes(data[: draw.randrange(len(data))] if draw.random() < 0.2 else data)
        check_read_or_refused(lambda broken=broken: READERS[kind](broken, tmp_path / "x.zip"))  # type: ignore[misc]


@LONG
@given(
    st.text(max_size=40)
    | values.map(lambda one: json.dumps(one, default=str))
    | st.just("[" * 100_000)
    | st.just("9" * 5000)
)
def test_a_calibration_with_anything_in_it_is_read_or_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        CalibrationArtifact.parse(text)
