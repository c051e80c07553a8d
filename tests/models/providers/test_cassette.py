"""Cassettes: a recorded answer comes back unchanged, and a missing one is an error."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from streams.core.errors import ConfigError, ModelError, ProcessError
from streams.models.providers.cassette import RecordedModel, RecordingModel, cassette_line, request_key
from streams.models.providers.protocol import ImagePart, ModelReply, ModelRequest, Token

REQUEST = ModelRequest("claude-haiku-4-5", "Be brief.", "Where is my order? äöü \u2028", 100)
REPLY = ModelReply(
    text="It left\ntoday. ✓",
    model="claude-haiku-4-5-20251001",
    stop_reason="refusal",
    input_tokens=12,
    output_tokens=5,
    cache_read_tokens=0,
    cache_write_tokens=None,
    first_token_seconds=0.25,
    request_id="req_1",
    refusal="no",
    tokens=(Token("It", -0.125), Token(" left", float("-inf"))),
)
ERROR = ModelError("rate_limited", "Too many.", "Wait.", retryable=True, retry_after=2.5, request_id="req_2")


class FakeModel:
    """Answers from a list, in order."""

    def __init__(self, *answers: ModelReply | Exception) -> None:
        self.answers = list(answers)
        self.closed = False

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:  # noqa: ARG002
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True


async def record(cassette: Path, *answers: ModelReply | Exception, request: ModelRequest = REQUEST) -> None:
    ticks = count()
    model = RecordingModel(FakeModel(*answers), cassette, clock=lambda: float(next(ticks)))
    for answer in answers:
        if isinstance(answer, Exception):
            with pytest.raises(type(answer)):
                await model.ask(request, timeout=5)
        else:
            assert await model.ask(request, timeout=5) == answer
    await model.close()


async def test_a_recorded_reply_comes_back_whole(tmp_path: Path) -> None:
    cassette = tmp_path / "new" / "folder" / "cassette.jsonl"
    await record(cassette, REPLY)
    model = RecordedModel(cassette)
    assert await model.ask(REQUEST, timeout=5) == REPLY
    await model.close()


async def test_an_image_is_recorded_by_its_hash_alone(tmp_path: Path) -> None:
    sent = ImagePart("5e" * 32, "image/jpeg", b"the pixels of one encoder")
    seen = ModelRequest("m", "s", "p", 1, images=(sent,))
    await record(tmp_path / "c.jsonl", REPLY, request=seen)
    line = (tmp_path / "c.jsonl").read_text()
    assert json.loads(line)["request"]["images"] == ["5e" * 32]
    assert "pixels" not in line + repr(seen)
    again = replace(seen, images=(ImagePart("5e" * 32, "image/png", b"those of another"),))
    assert await RecordedModel(tmp_path / "c.jsonl").ask(again, timeout=5) == REPLY
    other = replace(seen, images=(ImagePart("0f" * 32, "image/jpeg", sent.data),))
    assert len({request_key(one) for one in (seen, other, replace(seen, images=()))}) == 3


async def test_a_recorded_error_is_raised_again_whole(tmp_path: Path) -> None:
    await record(tmp_path / "c.jsonl", ERROR)
    with pytest.raises(ModelError) as caught:
        await RecordedModel(tmp_path / "c.jsonl").ask(REQUEST, timeout=5)
    assert vars(caught.value) == vars(ERROR)
    assert str(caught.value) == str(ERROR)


async def test_answers_to_one_request_come_back_in_order_and_the_last_is_repeated(tmp_path: Path) -> None:
    await record(tmp_path / "c.jsonl", ERROR, REPLY)
    model = RecordedModel(tmp_path / "c.jsonl")
    with pytest.raises(ModelError, match="Too many"):
        await model.ask(REQUEST, timeout=5)
    assert await model.ask(REQUEST, timeout=5) == REPLY
    assert await model.ask(REQUEST, timeout=5) == REPLY


async def test_only_model_errors_are_recorded(tmp_path: Path) -> None:
    await record(tmp_path / "c.jsonl", ConfigError("wrong"))
    assert (tmp_path / "c.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    "change",
    [
        {"model": "claude-opus-5"},
        {"system": "Be long."},
        {"prompt": "Where?"},
        {"max_tokens": 101},
        {"schema": {}},
        {"schema": {"type": "string"}},
        {"parameters": {"effort": "low"}},
    ],
)
def test_every_part_of_a_request_is_in_its_key(change: Mapping[str, Any]) -> None:
    fields = {name: getattr(REQUEST, name) for name in ModelRequest.__dataclass_fields__}
    assert request_key(ModelRequest(**{**fields, **change})) != request_key(REQUEST)


def test_the_order_and_the_class_of_mappings_are_not_in_the_key() -> None:
    one = ModelRequest("m", "s", "p", 1, {"a": {"x": 1, "y": 2}, "b": 3}, {"c": 1, "d": 2})
    other = ModelRequest(
        "m", "s", "p", 1, MappingProxyType({"b": 3, "a": MappingProxyType({"y": 2, "x": 1})}), {"d": 2, "c": 1}
    )
    assert request_key(one) == request_key(other)


def test_the_key_is_the_sha256_of_the_canonical_json() -> None:
    # sha256 of {"max_tokens":1,"model":"m","parameters":{},"prompt":"p","schema":null,"system":"s"}
    expected = "3d71f14fec94afc475d531090d1648e2575f1e4e64f12460eb3e9c06933d0b47"
    assert request_key(ModelRequest("m", "s", "p", 1)) == expected


def test_a_parameter_without_a_json_form_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="a date in a request"):
        request_key(ModelRequest("m", "s", "p", 1, parameters={"since": date(2026, 11, 1)}))


async def test_a_request_that_was_not_recorded_says_how_to_record_it(tmp_path: Path) -> None:
    await record(tmp_path / "c.jsonl", REPLY)
    with pytest.raises(ModelError, match=r"c\.jsonl holds no answer.*RecordingModel") as caught:
        await RecordedModel(tmp_path / "c.jsonl").ask(ModelRequest("m", "s", "p", 1), timeout=5)
    assert (caught.value.error_type, caught.value.retryable) == ("not_recorded", False)


@pytest.mark.parametrize(("pace", "waits"), [(0.0, []), (0.5, [0.5]), (3.0, [3.0])])
async def test_the_recorded_latency_is_replayed_at_a_pace(tmp_path: Path, pace: float, waits: list[float]) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await record(tmp_path / "c.jsonl", REPLY)
    reply = await RecordedModel(tmp_path / "c.jsonl", pace, sleep=sleep).ask(REQUEST, timeout=5)
    assert (slept, reply.first_token_seconds) == (waits, 0.25)


async def test_a_latency_beyond_the_timeout_is_a_timeout(tmp_path: Path) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await record(tmp_path / "c.jsonl", REPLY)
    with pytest.raises(ModelError) as caught:
        await RecordedModel(tmp_path / "c.jsonl", 100.0, sleep=sleep).ask(REQUEST, timeout=7)
    assert (caught.value.error_type, caught.value.retryable, slept) == ("timeout", True, [7])


def broken(**changes: Any) -> str:
    line = json.loads(cassette_line(REQUEST, REPLY, 1.0))
    return json.dumps({name: value for name, value in {**line, **changes}.items() if value is not ...})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{torn", "JSON"),
        ("", "JSON"),
        ("\ufeff[]", "JSON"),
        (broken(reply=...), "either a reply or an error"),
        (broken(error={"error_type": "x"}), "error"),
        (broken(key="0" * 64), "not its request's"),
        (broken(seconds=-1), "seconds"),
        (broken(seconds="fast"), "seconds"),
        (broken(request={"model": "m"}), "request"),
        (broken(reply={"text": "only"}), "reply"),
        (broken(reply={**json.loads(broken())["reply"], "tokens": [["a"]]}), "reply"),
        (broken(surprise=1), "surprise"),
    ],
)
def test_a_broken_line_is_named_by_its_number(tmp_path: Path, line: str, says: str) -> None:
    cassette = tmp_path / "c.jsonl"
    good = cassette_line(REQUEST, REPLY, 1.0)
    cassette.write_text(good + good + line + "\n" + good, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"c\.jsonl, line 3 .*{says}"):
        RecordedModel(cassette)


def test_a_missing_cassette_says_how_to_record_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RecordingModel"):
        RecordedModel(tmp_path / "none.jsonl")


def test_a_cassette_too_large_to_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(cassette_line(REQUEST, REPLY, 1.0))
    with pytest.raises(ConfigError, match="larger than 10 bytes"):
        RecordedModel(tmp_path / "c.jsonl", largest_bytes=10)


def test_a_cassette_that_cannot_be_written_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        RecordingModel(FakeModel(), tmp_path)


async def test_a_full_disk_is_the_processs_own_fault_and_no_reason_to_pay_again() -> None:
    model = RecordingModel(FakeModel(REPLY), Path("/dev/full"))
    with pytest.raises(ProcessError, match="takes no more"):
        await model.ask(REQUEST, timeout=5)
    await model.close()


async def test_closing_the_recording_closes_what_it_records(tmp_path: Path) -> None:
    inner = FakeModel()
    await RecordingModel(inner, tmp_path / "c.jsonl").close()
    assert inner.closed


def append_many(cassette: Path, writer: int) -> None:
    reply = ModelReply("x" * 20_000, "m", "end_turn")

    async def run() -> None:
        model = RecordingModel(FakeModel(*[reply] * 50), cassette)
        for n in range(50):
            await model.ask(ModelRequest("m", "s", f"{writer} {n}", 1), timeout=5)
        await model.close()

    asyncio.run(run())
    os._exit(0)


async def test_several_processes_append_to_one_cassette_without_tearing_lines(tmp_path: Path) -> None:
    cassette = tmp_path / "c.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(cassette, n)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
        writer.close()
    model = RecordedModel(cassette)
    for writer_id in range(3):
        for n in range(50):
            await model.ask(ModelRequest("m", "s", f"{writer_id} {n}", 1), timeout=5)
    assert cassette.read_bytes().count(b"\n") == 150
