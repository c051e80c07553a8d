"""No silent degradation: a capability that a server lacks is made up for, refused or counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from streams.adapters.blobs import BlobStore
from streams.app.provider_limits import not_held_to
from streams.core.errors import ConfigError
from streams.core.stated_schema import unfenced
from tests.builders import event
from tests.harness.fakes.chat_images import images_of
from tests.harness.fakes.chat_server import ChatServer
from tests.harness.fakes.chat_wire import LOGPROB
from tests.harness.fakes.messages_outcomes import Answer
from tests.harness.fakes.messages_server import MessagesServer
from tests.harness.over_http import ALONE, for_openai, house, with_options
from tests.harness.stages import build

SAID = json.dumps({"answer": {"reply": "from nine to five"}})
UNHELD: Mapping[str, tuple[type[MessagesServer], str]] = {
    "claude": (MessagesServer, ALONE.replace('provider = "claude"', 'provider = "claude"\njson_schema = false')),
    "litellm": (ChatServer, for_openai(ALONE, 'dialect = "litellm"')),
    "vllm without": (ChatServer, for_openai(ALONE, 'dialect = "vllm"', "json_schema = false")),
}


def system_of(body: Mapping[str, Any]) -> str:
    """The system prompt of a request to either API."""
    if "system" in body:
        return str(body["system"][0]["text"])
    return "".join(one["content"] for one in body["messages"] if one["role"] == "system")


# ---- A schema that the server does not enforce ----


@pytest.mark.parametrize("server", UNHELD)
@pytest.mark.parametrize(
    ("said", "status", "error_type"),
    [
        (SAID, "answered", None),
        (f"```json\n{SAID}\n```", "answered", None),
        (f"```\n{SAID}\n```\n", "answered", None),
        (f"Sure! {SAID}", "invalid", "not_json"),
        ('{"answer": {"reply": 7}}', "invalid", "schema"),
        ('{"refusal": {"class": "policy", "reason": "no"}}', "refused", None),
    ],
)
async def test_it_is_stated_in_the_prompt_and_checked_here(
    tmp_path: Path, server: str, said: str, status: str, error_type: str | None
) -> None:
    kind, text = UNHELD[server]
    async with house(tmp_path, lambda _: Answer(said), text, server=kind) as here:
        await here.take(event("e1", "when do you open?"))
        body = here.provider.server.requests[0].body
        assert not {"output_config", "response_format"} & set(body)
        wire = here.pipeline.workers["answer"].prompting.contract.wire_schema  # type: ignore[union-attr]
        assert system_of(body).endswith(json.dumps(wire, ensure_ascii=False))
        (call,) = [one for one in here.calls if one.tier == "worker"]
        assert (call.status, call.error_type) == (status, error_type)
        assert call.system_prompt == system_of(body), "the audit has what was sent"
        assert call.response == said, "and what came back"


def test_it_makes_answers_of_a_version_of_their_own_and_check_says_so(tmp_path: Path) -> None:
    held = build(tmp_path, ALONE).workers["answer"]
    pipeline = build(tmp_path, UNHELD["claude"][1])
    unheld = pipeline.workers["answer"]
    assert held.version != unheld.version
    (note,) = not_held_to([unheld], pipeline)
    assert "workers.answer" in note
    assert "the prompt states it" in note


@pytest.mark.parametrize("text", ["```json\nno end", "a ```fence``` inside", "``` ```", "plain"])
def test_only_a_fence_around_the_whole_text_is_taken_off(text: str) -> None:
    assert unfenced(text) == text


# ---- A schema in which every property is required ----


async def test_a_null_for_an_optional_property_is_read_as_absent(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"reply": {"type": "string"}, "note": {"type": "string"}, "of": {"type": ["string", "null"]}},
        "required": ["reply"],
        "additionalProperties": False,
    }
    (tmp_path / "own.json").write_text(json.dumps(schema))
    (tmp_path / "own.j2").write_text(
        "{% block system %}Hi.{% endblock %}{% block user %}{{ text | fenced }}{% endblock %}"
    )
    text = for_openai(ALONE).replace('task = "answer"', 'prompt = "own.j2"\nschema = "own.json"')
    said = {"answer": {"reply": "at nine", "note": None, "of": None}, "refusal": None}
    async with house(tmp_path, lambda _: json.dumps(said), text, server=ChatServer) as here:
        await here.take(event("e1", "when?"))
        assert here.results["e1"].answer == '{"reply": "at nine", "of": null}'
        (call,) = [one for one in here.calls if one.tier == "worker"]
        assert call.response == json.dumps(said)


async def test_a_refusal_beside_a_null_answer_is_a_refusal(tmp_path: Path) -> None:
    said = {"answer": None, "refusal": {"class": "policy", "reason": "no"}}
    async with house(tmp_path, lambda _: json.dumps(said), for_openai(ALONE), server=ChatServer) as here:
        await here.take(event("e1", "when?"))
        (call,) = [one for one in here.calls if one.tier == "worker"]
        assert (call.status, call.refusal_class) == ("refused", "policy")


# ---- Log-probabilities, seeds, images ----


async def test_logprobs_are_asked_for_by_the_confidence_alone(tmp_path: Path) -> None:
    text = with_options(for_openai(ALONE), workers_answer='confidence = "logprob"\nthreshold = 0.5')
    async with house(tmp_path, lambda _: Answer(SAID), text, server=ChatServer) as here:
        await here.take(event("e1", "when?"))
        assert here.provider.server.requests[0].body["logprobs"] is True
        (call,) = [one for one in here.calls if one.tier == "worker"]
        assert call.confidence == pytest.approx(2.718281828**LOGPROB)
        assert here.states() == {"e1": "answered"}
    async with house(tmp_path, lambda _: Answer(SAID), for_openai(ALONE), server=ChatServer) as here:
        await here.take(event("e2", "when?"))
        assert "logprobs" not in here.provider.server.requests[0].body


@pytest.mark.parametrize("options", [("logprobs = false",), ('dialect = "litellm"',)])
def test_logprobs_of_a_model_that_gives_none_are_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    text = with_options(for_openai(ALONE, *options), workers_answer='confidence = "logprob"')
    with pytest.raises(ConfigError, match="gives no log-probabilities") as caught:
        build(tmp_path, text.replace("$URL", "http://127.0.0.1:9/v1"))
    assert caught.value.key == "workers.answer.confidence"


async def test_each_sample_has_a_seed_of_its_own_where_the_file_gives_one(tmp_path: Path) -> None:
    options = 'confidence = "self-consistency"\nsamples = 3\nparameters = { seed = 7, temperature = 0.5 }'
    text = with_options(for_openai(ALONE), workers_answer=options)
    async with house(tmp_path, lambda _: Answer(SAID), text, server=ChatServer) as here:
        await here.take(event("e1", "when?"))
        assert {one.body["seed"] for one in here.provider.server.requests} == {7, 8, 9}


async def test_a_model_that_sees_is_sent_the_image_and_another_one_never(tmp_path: Path) -> None:
    text = for_openai(ALONE).replace('inputs = ["text"]', 'inputs = ["text", "image"]')
    sha = BlobStore(f"file://{tmp_path / 'blobs'}").put(_photo())
    for options, seen in ((("images = true",), 1), ((), 0)):
        file = text.replace('base_url = "$URL"', "\n".join(('base_url = "$URL"', *options)))
        async with house(tmp_path, lambda _: Answer(SAID), file, server=ChatServer) as here:
            await here.take(event("e1", "what is wrong with it?", image=sha))
            server = here.provider.server
            images = images_of(server.requests[0].body)
            assert [one.size for one in images] == [(640, 480)] * seen
            (call,) = [one for one in here.calls if one.tier == "worker"]
            billed = server.books[0]
            assert call.input_tokens == billed.input_tokens + billed.cache_read_tokens
            assert "base64" not in (call.prompt or "")


async def test_a_call_has_a_cost_where_the_server_counts_no_tokens_written_to_its_cache(tmp_path: Path) -> None:
    """llama-server does not count them; at the price of a model whose provider bills them apart, the cost is known."""
    said = json.dumps({"answer": {"reply": "at nine"}, "refusal": None})
    text = for_openai(ALONE, 'priced_as = "claude-haiku-5-5"')
    answer = Answer(said, input_tokens=100, output_tokens=10, cache_read_tokens=0, cache_write_tokens=None)
    async with house(tmp_path, lambda _: answer, text, server=ChatServer) as here:
        await here.take(event("e1", "when do you open?"))
        (call,) = [one for one in here.calls if one.tier == "worker"]
        assert (call.input_tokens, call.cache_write_tokens) == (100, None)
        assert call.cost_usd


def _photo() -> bytes:
    made = BytesIO()
    Image.new("RGB", (640, 480), "orange").save(made, "JPEG")
    return made.getvalue()
