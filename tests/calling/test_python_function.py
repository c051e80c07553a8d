"""Python functions as handlers."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.calling.python_function import OWN, load_function
from streams.calling.task import Answer, Refusal, Task
from streams.core.errors import ConfigError, ServiceError
from streams.core.messages import Score
from streams.core.reply_contract import MAX_REPLY, REFUSAL_CLASSES
from tests.harness.stages import confidence_of, model_error, python_function


async def test_a_function_may_return_a_json_value_or_an_answer() -> None:
    said = await python_function(lambda task: {"echo": task.text}).ask(Task(text="hé"))
    assert (said.reading.answer, confidence_of(said)) == ('{"echo": "hé"}', None)
    assert json.loads(said.prompt)["text"] == "hé"
    said = await python_function(lambda _: Answer([1], confidence=0.5)).ask(Task())
    assert (said.reading.answer, confidence_of(said)) == ("[1]", 0.5)


@pytest.mark.parametrize(("stated", "meant"), [(1.0000000000000002, 1.0), (-1e-17, 0.0)])
async def test_a_functions_confidence_may_be_out_by_what_64_bits_round(stated: float, meant: float) -> None:
    said = await python_function(lambda _: Answer([1], confidence=stated)).ask(Task())
    assert (said.reading.status, confidence_of(said)) == ("answered", meant)


async def test_a_function_may_be_asynchronous_and_a_plain_one_runs_beside_the_loop() -> None:
    async def slowly(task: Task) -> str:
        await asyncio.sleep(0)
        return task.text

    assert (await python_function(slowly).ask(Task(text="x"))).reading.answer == '"x"'
    threads: list[int] = []
    await python_function(lambda _: threads.append(threading.get_ident())).ask(Task())
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize("kind", REFUSAL_CLASSES)
async def test_a_function_may_refuse(kind: Any) -> None:
    said = await python_function(lambda _: Refusal(kind, "not mine")).ask(Task())
    assert (said.reading.status, said.reading.refusal_class, said.reading.refusal_reason) == (
        "refused",
        kind,
        "not mine",
    )


async def test_a_function_that_raises_fails_and_its_prompt_is_kept() -> None:
    def broken(_: Task) -> None:
        raise KeyError("order")

    said = await python_function(broken).ask(Task(text="x"))
    assert (said.reading.status, said.reading.error_type, said.error) == ("failed", "handler_error", None)
    assert "desk:do raised KeyError: 'order'" in (said.reading.error or "")
    assert json.loads(said.prompt)["text"] == "x"


async def test_a_function_may_say_that_its_service_is_unavailable() -> None:
    def busy(_: Task) -> None:
        raise model_error("overloaded", after=3.0)

    said = await python_function(busy).ask(Task())
    assert said.error is not None
    assert (said.reading.error_type, said.error.retry_after) == ("overloaded", 3.0)


@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError("no"), socket.gaierror("no"), ssl.SSLError("no"), OSError(errno.ENETUNREACH, "no")],
)
async def test_what_a_function_cannot_connect_to_is_unreachable_and_not_its_own_failure(error: Exception) -> None:
    def broken(_: Task) -> None:
        raise error

    said = await python_function(broken).ask(Task())
    assert said.error is not None
    assert (said.error.error_type, said.error.retryable) == ("unreachable", True)


@pytest.mark.parametrize("client", [urllib.request.urlopen, httpx2.get])
async def test_a_client_that_cannot_connect_is_unreachable_by_any_error_that_it_raises(
    client: Callable[[str], Any],
) -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        said = await python_function(lambda _: client(address), timeout=30).ask(Task())
    assert said.error is not None
    assert (said.error.error_type, said.error.retryable) == ("unreachable", True)


async def test_a_function_may_say_that_a_service_is_unavailable_so_that_its_message_waits() -> None:
    def broken(_: Task) -> None:
        raise ServiceError("The database is away.")

    with pytest.raises(ServiceError, match="is away"):
        await python_function(broken).ask(Task())


async def test_a_function_that_never_ends_is_cut_off_and_may_be_tried_again() -> None:
    async def forever(_: Task) -> None:
        await asyncio.Event().wait()

    said = await python_function(forever, timeout=0.001).ask(Task())
    assert said.error is not None
    assert (said.error.error_type, said.error.retryable) == ("timeout", True)


class Strange:
    """No JSON value."""


circle: list[Any] = []
circle.append(circle)


@pytest.mark.parametrize(
    "value", [Strange(), {1, 2}, b"x", float("nan"), float("inf"), circle, "\ud800", Answer("x", confidence=7.0)]
)
async def test_what_a_function_must_not_return_is_its_own_failure(value: Any) -> None:
    said = await python_function(lambda _: value).ask(Task())
    assert (said.reading.status, said.reading.error_type) == ("failed", "handler_error")


async def test_an_answer_that_is_too_large_is_invalid_and_its_beginning_is_kept() -> None:
    long = "x" * MAX_REPLY
    said = await python_function(lambda _: long).ask(Task())
    assert (said.reading.status, said.reading.error_type, said.reading.answer) == ("invalid", "too_large", None)
    assert len(said.response or "") == MAX_REPLY


@pytest.mark.parametrize("confidence", ["high", True, float("nan"), -0.1, 1.1])
async def test_a_confidence_that_is_not_a_probability_is_the_functions_failure(confidence: Any) -> None:
    said = await python_function(lambda _: Answer("x", confidence)).ask(Task())
    assert said.reading.error_type == "handler_error"


@pytest.mark.parametrize(
    "finding",
    [7, ["order"], {"label": 7}, {"label": "order", "confidence": "high"}, {"label": "order", "scores": [0.5]},
     {"label": "order", "scores": {"order": "much"}}],
)  # fmt: skip
async def test_a_listening_function_that_returns_no_finding_has_failed(finding: Any) -> None:
    assert (await python_function(lambda _: finding, "listener").ask(Task())).reading.error_type == "handler_error"


@pytest.mark.parametrize(
    "finding", [None, "order", {"label": None}, {"label": "a", "confidence": 1, "scores": {"a": 1.0}}]
)
async def test_a_listening_function_returns_a_label_or_more(finding: Any) -> None:
    said = await python_function(lambda _: finding, "listener").ask(Task())
    assert json.loads(said.reading.answer or "") == finding


@settings(deadline=None)
@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary()))
async def test_any_value_of_a_function_is_an_answer_or_a_failure(value: Any) -> None:
    said = await python_function(lambda _: value).ask(Task())
    assert said.reading.status in ("answered", "failed")
    (said.reading.answer or "").encode()


async def test_a_function_is_asked_alike_for_every_sample_and_its_confidence_is_its_own() -> None:
    one = python_function(lambda task: Answer(task.text, confidence=0.5))
    said = [await one.ask(Task(text="x"), sample) for sample in range(3)]
    assert said[0] == said[1] == said[2]
    assert said[0].sources == (Score(label=OWN, probability=0.5),)


# ---- Finding the function ----


def test_a_function_is_found_by_its_path() -> None:
    assert load_function("json:dumps") is json.dumps


@pytest.mark.parametrize("path", ["nowhere:f", "json:nothing", "json.nothing:f"])
def test_a_missing_function_is_the_operators_to_fix(path: str) -> None:
    with pytest.raises(ConfigError, match=f"{path} cannot be imported"):
        load_function(path)


def test_a_name_of_another_object_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a function"):
        load_function("sys:path")


def test_a_module_that_breaks_when_imported_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module_of_ours.py").write_text("raise KeyError('x')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="KeyError"):
        load_function("broken_module_of_ours:f")
    assert "broken_module_of_ours" not in sys.modules
