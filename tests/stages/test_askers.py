"""Prompted models and Python functions as handlers."""

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

from streams.core.contract import MAX_REPLY, REFUSAL_CLASSES
from streams.core.errors import ConfigError, ModelError, ServiceError
from streams.core.messages import Score, Tier
from streams.models.providers.protocol import ModelReply, ModelRequest, Token
from streams.pipeline.handlers import Handler
from streams.pipeline.spec import WorkerSpec
from streams.stages.askers import FunctionAsker, PromptAsker, load_function
from streams.stages.ports import OWN
from streams.stages.task import Answer, Refusal, Task
from tests.stages.support import PIPELINE, build, confidence_of, model_error


class FakeModel:
    """Replies as told, and remembers the requests and how many were in flight at once."""

    def __init__(self, reply: ModelReply | ModelError) -> None:
        self.reply = reply
        self.requests: list[tuple[ModelRequest, float]] = []
        self.now = self.most = 0

    async def ask(self, request: ModelRequest, timeout: float) -> ModelReply:
        """The reply."""
        self.requests.append((request, timeout))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if isinstance(self.reply, ModelError):
            raise self.reply
        return self.reply

    async def close(self) -> None:
        """Nothing to free."""


def reply(value: Any, *tokens: Token, **more: Any) -> ModelReply:
    return ModelReply(text=json.dumps(value), model="m-1", stop_reason="end_turn", tokens=tokens, **more)


def prompted(directory: Path, model: FakeModel, options: str = "", slots: int = 9) -> PromptAsker:
    handler = build(directory, PIPELINE.replace("[workers.answer]", f"[workers.answer]\n{options}")).workers["answer"]
    assert handler.prompting is not None
    return PromptAsker(
        handler=handler,
        prompting=handler.prompting,
        language_model=model,
        provider="fake",
        model="m",
        priced_as=None,
        model_slots=asyncio.Semaphore(slots),
    )


async def test_a_model_is_asked_with_the_prompt_the_schema_and_the_options(tmp_path: Path) -> None:
    model = FakeModel(reply({"answer": {"reply": "yes"}}))
    (tmp_path / "facts.md").write_text("Parcels take two days.")
    one = prompted(tmp_path, model, 'knowledge = "facts.md"\nparameters = {seed = 7}\nmax_tokens = 99\ntimeout = "5s"')
    said = await one.ask(Task(text="How long?"))
    ((request, timeout),) = model.requests
    assert "Parcels take two days." in request.system
    assert "<event>\nHow long?\n</event>" in request.prompt
    assert (request.model, request.max_tokens, dict(request.parameters), timeout) == ("m", 99, {"seed": 7}, 5.0)
    assert request.schema == one.prompting.contract.wire_schema
    assert (said.reading.answer, said.system, said.prompt) == ('{"reply": "yes"}', request.system, request.prompt)
    assert confidence_of(said) is None


async def test_a_model_that_fails_leaves_what_it_was_asked_in_the_record(tmp_path: Path) -> None:
    said = await prompted(tmp_path, FakeModel(model_error("timeout"))).ask(Task(text="How long?"))
    assert (said.reading.status, said.reading.error_type) == ("failed", "timeout")
    assert said.error is not None
    assert said.error.retryable
    assert "How long?" in said.prompt


async def test_half_a_surrogate_pair_in_a_models_words_does_not_reach_the_record(tmp_path: Path) -> None:
    cut = ModelReply(text="\ud83d", model="m-1", stop_reason="end_turn")
    assert (await prompted(tmp_path, FakeModel(cut)).ask(Task(text="x"))).response == "?"
    error = ModelError("bad_reply", "It said \ud83d.", retryable=False)
    assert (await prompted(tmp_path, FakeModel(error)).ask(Task(text="x"))).reading.error == "It said ?."


async def test_the_confidence_of_a_model_comes_from_where_the_file_says(tmp_path: Path) -> None:
    tokens = (Token('{"answer": {"reply": ', -9.0), Token('"yes"', 0.0), Token("}}", -9.0))
    by_token = prompted(tmp_path, FakeModel(reply({"answer": {"reply": "yes"}}, *tokens)), 'confidence = "logprob"')
    assert confidence_of(await by_token.ask(Task(text="x"))) == 1.0
    stated = FakeModel(reply({"answer": {"reply": "yes"}, "confidence": 0.7}))
    assert confidence_of(await prompted(tmp_path, stated, 'confidence = "verbalized"').ask(Task(text="x"))) == 0.7


SAID = {"answer": {"reply": "yes"}, "confidence": 0.7}
TOKENS = (Token('{"answer": {"reply": ', -9.0), Token('"yes"', 0.0), Token("}}", -9.0))


@pytest.mark.parametrize(
    ("confidence", "sources"),
    [
        ('["verbalized", "logprob"]', {"verbalized": 0.7, "logprob": 1.0}),
        ('["logprob", "self-consistency"]', {"logprob": 1.0}),
        ('["self-consistency", "json:loads"]', {}),
        ('"none"', {}),
    ],
)
async def test_a_reply_gives_each_source_the_file_asks_of_it_and_no_other(
    tmp_path: Path, confidence: str, sources: dict[str, float]
) -> None:
    said = {name: value for name, value in SAID.items() if name == "answer" or "verbalized" in sources}
    one = prompted(tmp_path, FakeModel(reply(said, *TOKENS)), f"confidence = {confidence}")
    assert {score.label: score.probability for score in (await one.ask(Task(text="x"))).sources} == sources


async def test_a_source_that_says_nothing_is_left_out(tmp_path: Path) -> None:
    one = prompted(tmp_path, FakeModel(reply(SAID)), 'confidence = ["verbalized", "logprob"]')
    assert [score.label for score in (await one.ask(Task(text="x"))).sources] == ["verbalized"]


@pytest.mark.parametrize(
    ("parameters", "seeds"),
    [("{seed = 7}", [7, 8, 10]), ("{temperature = 0.5}", [None, 1, 3])],
    ids=["a seed of the file's", "no seed of the file's"],
)
async def test_each_further_sample_of_a_seeded_model_has_a_seed_of_its_own(
    tmp_path: Path, parameters: str, seeds: list[int | None]
) -> None:
    model = FakeModel(reply({"answer": {"reply": "yes"}}))
    one = prompted(tmp_path, model, f"parameters = {parameters}")
    one.takes_seed = True
    for sample in (0, 1, 3):
        await one.ask(Task(text="x"), sample)
    assert [request.parameters.get("seed") for request, _ in model.requests] == seeds
    others = [
        {name: value for name, value in asked.parameters.items() if name != "seed"} for asked, _ in model.requests
    ]
    assert others[0] == others[1] == others[2]


async def test_a_model_that_takes_no_seed_is_asked_alike_for_every_sample(tmp_path: Path) -> None:
    model = FakeModel(reply({"answer": {"reply": "yes"}}))
    one = prompted(tmp_path, model, "parameters = {temperature = 0.5}")
    for sample in range(3):
        await one.ask(Task(text="x"), sample)
    assert [dict(request.parameters) for request, _ in model.requests] == [{"temperature": 0.5}] * 3


async def test_a_handler_and_its_model_take_only_so_many_calls_at_once(tmp_path: Path) -> None:
    async def in_its_slot(one: PromptAsker) -> None:
        async with one.slot():
            await one.ask(Task(text="x"))

    for options, slots in [("concurrency = 2", 9), ("concurrency = 9", 2)]:
        model = FakeModel(reply({"answer": {"reply": "yes"}}))
        one = prompted(tmp_path, model, options, slots)
        await asyncio.gather(*(in_its_slot(one) for _ in range(8)))
        assert (model.most, len(model.requests)) == (2, 8)


# ---- Python functions ----


def function_asker(function: Callable[[Task], Any], tier: Tier = "worker", timeout: float = 5.0) -> FunctionAsker:
    spec = WorkerSpec.model_validate({"handler": "desk:do", "timeout": timeout})
    return FunctionAsker(handler=Handler(name="do", tier=tier, spec=spec, version="v"), function=function)


async def test_a_function_may_return_a_json_value_or_an_answer() -> None:
    said = await function_asker(lambda task: {"echo": task.text}).ask(Task(text="hé"))
    assert (said.reading.answer, confidence_of(said)) == ('{"echo": "hé"}', None)
    assert json.loads(said.prompt)["text"] == "hé"
    said = await function_asker(lambda _: Answer([1], confidence=0.5)).ask(Task())
    assert (said.reading.answer, confidence_of(said)) == ("[1]", 0.5)


@pytest.mark.parametrize(("stated", "meant"), [(1.0000000000000002, 1.0), (-1e-17, 0.0)])
async def test_a_functions_confidence_may_be_out_by_what_64_bits_round(stated: float, meant: float) -> None:
    said = await function_asker(lambda _: Answer([1], confidence=stated)).ask(Task())
    assert (said.reading.status, confidence_of(said)) == ("answered", meant)


async def test_a_function_may_be_asynchronous_and_a_plain_one_runs_beside_the_loop() -> None:
    async def slowly(task: Task) -> str:
        await asyncio.sleep(0)
        return task.text

    assert (await function_asker(slowly).ask(Task(text="x"))).reading.answer == '"x"'
    threads: list[int] = []
    await function_asker(lambda _: threads.append(threading.get_ident())).ask(Task())
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize("kind", REFUSAL_CLASSES)
async def test_a_function_may_refuse(kind: Any) -> None:
    said = await function_asker(lambda _: Refusal(kind, "not mine")).ask(Task())
    assert (said.reading.status, said.reading.refusal_class, said.reading.refusal_reason) == (
        "refused",
        kind,
        "not mine",
    )


async def test_a_function_that_raises_fails_and_its_prompt_is_kept() -> None:
    def broken(_: Task) -> None:
        raise KeyError("order")

    said = await function_asker(broken).ask(Task(text="x"))
    assert (said.reading.status, said.reading.error_type, said.error) == ("failed", "handler_error", None)
    assert "desk:do raised KeyError: 'order'" in (said.reading.error or "")
    assert json.loads(said.prompt)["text"] == "x"


async def test_a_function_may_say_that_what_it_asks_is_away() -> None:
    def busy(_: Task) -> None:
        raise model_error("overloaded", after=3.0)

    said = await function_asker(busy).ask(Task())
    assert said.error is not None
    assert (said.reading.error_type, said.error.retry_after) == ("overloaded", 3.0)


@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError("no"), socket.gaierror("no"), ssl.SSLError("no"), OSError(errno.ENETUNREACH, "no")],
)
async def test_what_a_function_cannot_connect_to_is_unreachable_and_not_its_own_failure(error: Exception) -> None:
    def broken(_: Task) -> None:
        raise error

    said = await function_asker(broken).ask(Task())
    assert said.error is not None
    assert (said.error.error_type, said.error.retryable) == ("unreachable", True)


@pytest.mark.parametrize("client", [urllib.request.urlopen, httpx2.get])
async def test_a_client_that_cannot_connect_is_unreachable_whatever_error_it_raises(
    client: Callable[[str], Any],
) -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        said = await function_asker(lambda _: client(address), timeout=30).ask(Task())
    assert said.error is not None
    assert (said.error.error_type, said.error.retryable) == ("unreachable", True)


async def test_a_function_may_say_that_a_service_is_away_so_that_its_message_waits() -> None:
    def broken(_: Task) -> None:
        raise ServiceError("The database is away.")

    with pytest.raises(ServiceError, match="is away"):
        await function_asker(broken).ask(Task())


async def test_a_function_that_never_ends_is_cut_off_and_may_be_tried_again() -> None:
    async def forever(_: Task) -> None:
        await asyncio.Event().wait()

    said = await function_asker(forever, timeout=0.001).ask(Task())
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
    said = await function_asker(lambda _: value).ask(Task())
    assert (said.reading.status, said.reading.error_type) == ("failed", "handler_error")


async def test_an_answer_that_is_too_large_is_invalid_and_its_beginning_is_kept(tmp_path: Path) -> None:
    long = "x" * MAX_REPLY
    by_model = await prompted(tmp_path, FakeModel(reply({"answer": {"reply": long}}))).ask(Task(text="x"))
    by_function = await function_asker(lambda _: long).ask(Task())
    for said in (by_model, by_function):
        assert (said.reading.status, said.reading.error_type, said.reading.answer) == ("invalid", "too_large", None)
        assert len(said.response or "") == MAX_REPLY


@pytest.mark.parametrize("confidence", ["high", True, float("nan"), -0.1, 1.1])
async def test_a_confidence_that_is_no_probability_is_the_functions_failure(confidence: Any) -> None:
    said = await function_asker(lambda _: Answer("x", confidence)).ask(Task())
    assert said.reading.error_type == "handler_error"


@pytest.mark.parametrize(
    "finding",
    [7, ["order"], {"label": 7}, {"label": "order", "confidence": "high"}, {"label": "order", "scores": [0.5]},
     {"label": "order", "scores": {"order": "much"}}],
)  # fmt: skip
async def test_a_listening_function_that_returns_no_finding_has_failed(finding: Any) -> None:
    assert (await function_asker(lambda _: finding, "listener").ask(Task())).reading.error_type == "handler_error"


@pytest.mark.parametrize(
    "finding", [None, "order", {"label": None}, {"label": "a", "confidence": 1, "scores": {"a": 1.0}}]
)
async def test_a_listening_function_returns_a_label_or_more(finding: Any) -> None:
    said = await function_asker(lambda _: finding, "listener").ask(Task())
    assert json.loads(said.reading.answer or "") == finding


@settings(deadline=None)
@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary()))
async def test_whatever_a_function_returns_is_an_answer_or_a_failure(value: Any) -> None:
    said = await function_asker(lambda _: value).ask(Task())
    assert said.reading.status in ("answered", "failed")
    (said.reading.answer or "").encode()


async def test_a_function_is_asked_alike_for_every_sample_and_its_confidence_is_its_own() -> None:
    one = function_asker(lambda task: Answer(task.text, confidence=0.5))
    said = [await one.ask(Task(text="x"), sample) for sample in range(3)]
    assert said[0] == said[1] == said[2]
    assert said[0].sources == (Score(label=OWN, probability=0.5),)


# ---- Finding the function ----


def test_a_function_is_found_by_its_path() -> None:
    assert load_function("json:dumps") is json.dumps


@pytest.mark.parametrize("path", ["nowhere:f", "json:nothing", "json.nothing:f"])
def test_a_function_that_is_not_there_is_the_operators_to_mend(path: str) -> None:
    with pytest.raises(ConfigError, match=f"{path} cannot be imported"):
        load_function(path)


def test_a_name_that_is_no_function_is_told() -> None:
    with pytest.raises(ConfigError, match="is no function"):
        load_function("sys:path")


def test_a_module_that_breaks_when_imported_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module_of_ours.py").write_text("raise KeyError('x')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="KeyError"):
        load_function("broken_module_of_ours:f")
    assert "broken_module_of_ours" not in sys.modules
