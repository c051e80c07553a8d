"""Prompted models as handlers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streams.calling.caller import Callee
from streams.calling.prompted import PromptedModel
from streams.calling.task import Task
from streams.core.errors import ModelError
from streams.core.reply_contract import MAX_REPLY
from streams.models.providers.protocol import ModelReply, Token
from tests.harness.fakes.model import FakeModel
from tests.harness.stages import PIPELINE, build, confidence_of, model_error


def reply(value: Any, *tokens: Token, **more: Any) -> ModelReply:
    return ModelReply(text=json.dumps(value), model="m-1", stop_reason="end_turn", tokens=tokens, **more)


def prompted(directory: Path, model: FakeModel, options: str = "", *, takes_seed: bool = False) -> PromptedModel:
    handler = build(directory, PIPELINE.replace("[workers.answer]", f"[workers.answer]\n{options}")).workers["answer"]
    assert handler.prompting is not None
    callee = Callee(handler=handler, operation="chat", provider="fake", model="m", bills_cache=True)
    return PromptedModel(callee=callee, prompting=handler.prompting, language_model=model, takes_seed=takes_seed)


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
    one = prompted(tmp_path, model, f"parameters = {parameters}", takes_seed=True)
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


async def test_an_answer_that_is_too_large_is_invalid_and_its_beginning_is_kept(tmp_path: Path) -> None:
    long = "x" * MAX_REPLY
    said = await prompted(tmp_path, FakeModel(reply({"answer": {"reply": long}}))).ask(Task(text="x"))
    assert (said.reading.status, said.reading.error_type, said.reading.answer) == ("invalid", "too_large", None)
    assert len(said.response or "") == MAX_REPLY
