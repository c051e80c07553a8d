"""`escalon check --connect`: one call to each model says what works."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.app.connections import Connection, connections
from streams.app.settings import read_settings
from streams.cli.check import app
from tests.harness.fakes.chat_server import ChatServer, chat_answer_by_schema
from tests.harness.fakes.messages_outcomes import Answer, Failure, Outcome
from tests.harness.fakes.messages_server import MessagesServer
from tests.harness.fakes.messages_thread import MessagesThread
from tests.harness.over_http import ALONE, for_openai, with_options
from tests.harness.stages import build

HELLO = '{"answer": {"greeting": "hello"}}'
ONE = ALONE.split("[models.large]", maxsplit=1)
ONLY_SMALL = ONE[0] + "[listeners.words]" + ONE[1].split("[listeners.words]", maxsplit=1)[1]
"""With one model."""


async def connected(directory: Path, text: str, url: str) -> list[Connection]:
    pipeline = build(directory, text.replace("$URL", url))
    environment = {"ESCALON_DATA": str(directory), "ANTHROPIC_API_KEY": "planted", "ANTHROPIC_BASE_URL": url}
    return await connections(pipeline, read_settings(environment))


async def test_each_model_of_the_file_is_called_once(tmp_path: Path) -> None:
    async with MessagesServer() as server:
        small, large = await connected(tmp_path, ALONE, server.url)
        assert [one.body["model"] for one in server.requests] == ["claude-haiku-4-5", "claude-opus-4-8"]
        assert (small.model, small.answered, small.schema, small.usage) == ("small", True, "enforced", True)
        assert small.ok
        assert (small.logprobs, small.images) == (None, None)
        billed = server.books[0]
        assert small.cost_usd == (billed.input_tokens * Decimal(1) + billed.output_tokens * Decimal(5)) / 10**6
        assert large.cost_usd is not None
        assert small.seconds is not None
        assert small.first_token_seconds is not None
        assert 0 < small.first_token_seconds <= small.seconds


async def test_a_server_of_this_api_needs_no_key_and_is_asked_for_what_the_file_uses(tmp_path: Path) -> None:
    text = with_options(for_openai(ONLY_SMALL, "images = true"), workers_answer='confidence = "logprob"')
    async with ChatServer() as server:
        (found,) = await connected(tmp_path, text, server.url)
        assert (found.schema, found.usage, found.logprobs, found.images) == ("enforced", True, True, True)
        assert found.ok
        assert found.cost_usd is not None  # no tokens written to a cache are counted, so none are billed
        assert server.requests[0].body["messages"][-1]["content"][0]["type"] == "image_url"


def plain(_: Mapping[str, Any]) -> Answer:
    return Answer("Hello!")


@pytest.mark.parametrize(
    ("options", "answer", "schema", "problem"),
    [
        ((), plain, "broken", "json_schema = false"),
        (("json_schema = false",), plain, "broken", "more capable"),
        (("json_schema = false",), lambda _: Answer(f"```json\n{HELLO}\n```"), "followed", None),
        ((), lambda _: Answer(HELLO, output_tokens=0), "enforced", "counts no tokens"),
        ((), lambda _: Failure(401, "no such key"), None, "no such key"),
    ],
)
async def test_what_does_not_work_is_said_with_its_remedy(
    tmp_path: Path, options: tuple[str, ...], answer: Any, schema: str | None, problem: str | None
) -> None:
    async with ChatServer(answer) as server:
        (found,) = await connected(tmp_path, for_openai(ONLY_SMALL, *options), server.url)
    assert found.schema == schema
    assert found.ok == (problem is None)
    assert problem is None or problem in found.problems[0]


async def test_a_model_without_a_key_is_reported_and_the_others_are_called(tmp_path: Path) -> None:
    text = for_openai(ALONE).replace('base_url = "$URL"', 'api_key_env = "OWN_KEY"', 1)
    async with ChatServer() as server:
        small, large = await connected(tmp_path, text, server.url)
    assert (small.answered, "OWN_KEY" in small.problems[0]) == (False, True)
    assert large.ok


@pytest.mark.parametrize(("said", "code"), [(None, 0), (Answer("Hello!"), 1)])
def test_the_command_prints_it_as_json_and_its_exit_code_says_whether_all_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Outcome | None, code: int
) -> None:
    with MessagesThread(lambda body: said or chat_answer_by_schema(body), ChatServer) as server:
        (tmp_path / "pipeline.toml").write_text(for_openai(ONLY_SMALL).replace("$URL", server.url))
        monkeypatch.setenv("ESCALON_DATA", str(tmp_path))
        result = CliRunner().invoke(app, [str(tmp_path / "pipeline.toml"), "--connect", "--json"])
        assert result.exit_code == code, result.output
        shown = json.loads(result.stdout)
        assert (shown["ok"], [one["model"] for one in shown["models"]]) == (code == 0, ["small"])
        table = CliRunner().invoke(app, [str(tmp_path / "pipeline.toml"), "--connect"])
        assert table.exit_code == code
        assert ("enforced" if code == 0 else "broken") in table.stdout
