"""Models that think before they answer, over HTTP: what thinking takes of max_tokens is not there for the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from streams.app.provider_limits import little_room
from streams.app.providers import Providers
from streams.app.settings import Settings, read_settings
from streams.calling.request import Reply
from streams.calling.task import Task
from streams.core.errors import ConfigError
from streams.demo.starter import write_starter
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline, load_pipeline
from tests.harness.fakes.messages_outcomes import Answer, answer_by_schema
from tests.harness.fakes.messages_server import MessagesServer
from tests.harness.fakes.messages_wire import tokens
from tests.harness.pipeline_files import BASE, changed, loaded

RECORDED = 'provider = "recorded"\nmodel = "small"\ncassette = "none.jsonl"'
PLAIN = changed("parameters = { seed = 1 }", "", BASE)
THOUGHTS = "I will think it over. " * 200


def thinking_model(body: Mapping[str, Any]) -> Answer:
    """Think some 1,100 tokens unless thinking is off, and cut the reply at max_tokens as the API does."""
    answer = answer_by_schema(body)
    if (body.get("thinking") or {}).get("type") == "disabled":
        return answer
    if tokens(THOUGHTS) < body["max_tokens"]:
        return Answer(answer.text, thinking=THOUGHTS)
    return Answer("", stop_reason="max_tokens", thinking=THOUGHTS[: 4 * body["max_tokens"]])


@pytest.fixture
async def server() -> AsyncIterator[MessagesServer]:
    async with MessagesServer(thinking_model) as running:
        yield running


def settings_for(directory: Path, server: MessagesServer | None = None) -> Settings:
    environment = {"ESCALON_DATA": str(directory), "ANTHROPIC_API_KEY": "planted"}
    return read_settings(environment | ({"ANTHROPIC_BASE_URL": server.url} if server else {}))


async def said_by(pipeline: Pipeline, handlers: Mapping[str, Handler], settings: Settings) -> dict[str, Reply]:
    providers = Providers(pipeline, settings)
    said = {}
    for name, handler in ((name, one) for name, one in handlers.items() if one.prompting):
        said[name] = await providers.backend(handler).backend.ask(Task(text="When do you open?", reason="routed"))
    await providers.close()
    return said


def asking(directory: Path, model: str, options: str = "") -> Pipeline:
    text = changed(RECORDED, f'provider = "claude"\nmodel = "{model}"', PLAIN)
    return loaded(directory, text.replace('knowledge = "facts.md"\n', f'knowledge = "facts.md"\n{options}\n'))


async def test_the_starter_has_room_for_thinking_or_does_without(tmp_path: Path, server: MessagesServer) -> None:
    path = write_starter(tmp_path, "claude")
    (tmp_path / "intents.npz").write_bytes(b"the artifact")
    pipeline = load_pipeline(path, ANY_PYTHON)
    handlers = {name: one for name, one in [*pipeline.workers.items(), *pipeline.reasoners.items()] if one.prompting}
    Providers(pipeline, settings_for(tmp_path)).check(handlers.values())
    assert list(little_room(handlers.values(), pipeline)) == []
    said = await said_by(pipeline, handlers, settings_for(tmp_path, server))
    assert len(said) == 5
    assert all(one.reading.error_type != "truncated" for one in said.values())
    assert {one.model_reply.stop_reason for one in said.values() if one.model_reply} == {"end_turn"}


async def test_the_defaults_of_every_tier_have_room_for_thinking(tmp_path: Path, server: MessagesServer) -> None:
    pipeline = asking(tmp_path, "claude-haiku-5-5")
    for handlers in (pipeline.listeners, pipeline.workers, pipeline.reasoners):
        for said in (await said_by(pipeline, handlers, settings_for(tmp_path, server))).values():
            assert said.reading.status == "answered", said.reading


async def test_a_reply_that_thinking_has_eaten_says_so(tmp_path: Path, server: MessagesServer) -> None:
    pipeline = asking(tmp_path, "claude-haiku-5-5", "max_tokens = 300")
    reading = (await said_by(pipeline, pipeline.workers, settings_for(tmp_path, server)))["work"].reading
    assert (reading.status, reading.error_type) == ("invalid", "truncated")
    assert reading.error == "all max_tokens went to thinking (300 tokens); raise max_tokens or switch thinking off"


def test_little_room_is_warned_of_under_the_handler(tmp_path: Path) -> None:
    pipeline = asking(tmp_path, "claude-haiku-5-5", "max_tokens = 300")
    (warning,) = little_room([*pipeline.listeners.values(), *pipeline.workers.values()], pipeline)
    assert warning.startswith("workers.work: claude-haiku-5-5 thinks before it answers.")
    older = asking(tmp_path, "claude-haiku-4-5", "max_tokens = 300")
    assert list(little_room(older.workers.values(), older)) == []


def test_a_model_that_cannot_do_without_is_refused_as_a_fallback_of_one_that_can(tmp_path: Path) -> None:
    other = '\n[models.other]\nprovider = "claude"\nmodel = "claude-opus-5-5"\n'
    off = 'fallback = "other"\nparameters = { thinking = { type = "disabled" } }'
    text = changed(RECORDED, 'provider = "claude"\nmodel = "claude-haiku-5-5"', PLAIN) + other
    pipeline = loaded(tmp_path, text.replace('knowledge = "facts.md"\n', f'knowledge = "facts.md"\n{off}\n'))
    with pytest.raises(ConfigError, match="claude-opus-5-5 does not take") as caught:
        Providers(pipeline, settings_for(tmp_path)).check([pipeline.workers["work"]])
    assert caught.value.key == "workers.work.fallback"


def test_a_fallback_has_room_of_its_own(tmp_path: Path) -> None:
    other = '\n[models.other]\nprovider = "claude"\nmodel = "claude-opus-5-5"\n'
    text = changed(RECORDED, 'provider = "claude"\nmodel = "claude-haiku-4-5"', PLAIN) + other
    pipeline = loaded(
        tmp_path, text.replace('knowledge = "facts.md"\n', 'knowledge = "facts.md"\nfallback = "other"\n')
    )
    worker = pipeline.workers["work"]
    assert worker.fallback is not None
    assert (worker.prompts.max_tokens, worker.fallback.prompts.max_tokens) == (512, 512 + 8192)


def test_the_room_is_a_part_of_the_version_only_where_it_was_added(tmp_path: Path) -> None:
    plain, said = (asking(tmp_path, "claude-haiku-4-5", text) for text in ("", "max_tokens = 512"))
    assert plain.workers["work"].version == said.workers["work"].version
    roomy, tight = (asking(tmp_path, "claude-haiku-5-5", text) for text in ("", "max_tokens = 512"))
    assert roomy.workers["work"].version != tight.workers["work"].version
