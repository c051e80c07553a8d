"""Claude at Bedrock, Vertex and Foundry: what goes over the wire, and what becomes of logins that fail."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

from streams.core.errors import ConfigError, ModelError
from streams.models.providers.claude_clouds import Cloud, CloudClaude, CloudPlace
from streams.models.providers.protocol import ImagePart, ModelRequest
from tests.harness.drawn_images import encoded, picture
from tests.harness.fakes.claude_clouds import AWS, GOOGLE_TOKEN, BedrockServer, VertexServer, chunk, google_login
from tests.harness.fakes.messages_images import images_of
from tests.harness.fakes.messages_outcomes import Answer, Failure, Raw, StreamError
from tests.models.contract.clouds import AT, KEY, OWN, at_bedrock, at_foundry, at_vertex, cloud, without_logins

ORDER = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}
BEDROCK_NAME = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


def ask_for(prompt: str = "Where is my order?", **changes: Any) -> ModelRequest:
    fields: dict[str, Any] = {"model": "claude-haiku-4-5", "system": "Be brief.", "max_tokens": 100}
    return ModelRequest(prompt=prompt, **{**fields, **changes})


async def failure_of(model: CloudClaude) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.ask(ask_for(), 30)
    return caught.value


async def test_bedrock_gets_the_model_in_the_path_and_a_signed_body(tmp_path: Path) -> None:
    async with at_bedrock(tmp_path) as (model, server):
        reply = await model.ask(ask_for(model=BEDROCK_NAME), 30)
        ((path, body),) = server.sent
        headers = server.requests[0].headers
    assert path == f"/model/{BEDROCK_NAME}/invoke-with-response-stream"
    assert body == {
        "anthropic_version": body["anthropic_version"],
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Where is my order?"}],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    }
    scope = f"AWS4-HMAC-SHA256 Credential={AWS['AWS_ACCESS_KEY_ID']}/"
    assert headers["authorization"].startswith(scope)
    assert "/eu-central-1/bedrock/aws4_request" in headers["authorization"]
    assert headers["x-amz-security-token"] == AWS["AWS_SESSION_TOKEN"]
    assert (reply.text, reply.request_id) == ("This is the fake Messages server.", "req_000001")
    assert (reply.cache_write_tokens, reply.stop_reason) == (3, "end_turn")


async def test_bedrock_takes_a_key_of_its_own_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_logins(monkeypatch, tmp_path)
    async with BedrockServer() as server:
        model = cloud("bedrock", server.url, KEY)
        await model.ask(ask_for(), 30)
        await model.close()
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_vertex_gets_project_region_and_model_in_the_path_and_one_token_for_many_calls(tmp_path: Path) -> None:
    async with at_vertex(tmp_path) as (model, server):
        for _ in range(3):
            await model.ask(ask_for(model="claude-haiku-4-5@20251001"), 30)
        path, body = server.sent[0]
        assert server.tokens == 1
    models = "/projects/acme/locations/global/publishers/anthropic/models"
    assert path == f"{models}/claude-haiku-4-5@20251001:streamRawPredict"
    assert set(body) == {"anthropic_version", "max_tokens", "messages", "stream", "system"}


async def test_foundry_gets_its_key_and_no_key_of_anthropics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-another-account")
    async with at_foundry(tmp_path) as (model, server):
        await model.ask(ask_for(), 30)
        headers = server.requests[0].headers
    assert (headers["x-api-key"], "authorization" in headers) == (KEY, False)
    assert "sk-ant" not in repr(headers)


@pytest.mark.parametrize("name", AT)
async def test_schemas_and_images_go_to_every_cloud(name: Cloud, tmp_path: Path) -> None:
    shown = ImagePart("5e" * 32, "image/png", encoded(picture()))
    async with AT[name](tmp_path) as (model, server):
        reply = await model.ask(ask_for(schema=ORDER, images=(shown,)), 30)
        sent = server.requests[0].body
    assert reply.text == '{"sku": "text"}'
    assert sent["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert [image.size for image in images_of(sent)] == [(240, 180)]


# ---- Failures of Bedrock ----


@pytest.mark.parametrize(
    ("named", "error_type", "retryable"),
    [
        ("throttlingException", "rate_limited", True),
        ("modelTimeoutException", "timeout", True),
        ("serviceUnavailableException", "overloaded", True),
        ("internalServerException", "server_error", True),
        ("modelStreamErrorException", "server_error", True),
    ],
)
@pytest.mark.parametrize("events", [0, 3])
async def test_an_exception_in_bedrocks_stream_keeps_its_kind(
    tmp_path: Path, named: str, error_type: str, *, retryable: bool, events: int
) -> None:
    async with at_bedrock(tmp_path) as (model, server):
        server.script(StreamError(named, events=events))
        error = await failure_of(model)
    assert (error.error_type, error.retryable) == (error_type, retryable)
    assert error.unbilled is (events == 0 and error_type != "timeout")
    assert error.request_id == "req_000001"
    assert "scripted failure" in error.what


@pytest.mark.parametrize(
    ("failure", "error_type"),
    [
        (Failure(400, "The provided model identifier is invalid."), "not_found"),
        (Failure(400, "Input is too long for requested model."), "too_large"),
        (Failure(400, "messages.0.content.0.image.source: Could not process image"), "rejected"),
        (Failure(403, "You don't have access to the model with the specified model ID."), "unauthorized"),
        (Failure(403, "The security token included in the request is expired"), "unauthorized"),
        (Failure(424, "The model returned the following errors: it failed"), "server_error"),
        (Failure(429, "Too many tokens, please wait before trying again."), "rate_limited"),
        (Failure(503, "Bedrock is unable to process your request."), "server_error"),
    ],
)
async def test_an_error_of_bedrock_keeps_its_words_and_its_kind(
    tmp_path: Path, failure: Failure, error_type: str
) -> None:
    async with at_bedrock(tmp_path) as (model, server):
        server.script(failure)
        error = await failure_of(model)
    assert error.error_type == error_type
    assert error.what.startswith(f"Claude at Bedrock answered {failure.status}: {failure.message}")
    assert (error.request_id, error.unbilled) == ("req_000001", True)


def flipped(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


WHOLE = chunk({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}})


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (flipped(WHOLE), "bad_reply"),
        (WHOLE[:-3], "bad_reply"),
        (WHOLE, "unreachable"),
        (b"", "bad_reply"),
        (b"event: message_start\ndata: {}\n\n" * 9, "bad_reply"),
        (b"\x00" * 64, "bad_reply"),
        (b"<html>a proxy's page</html>", "bad_reply"),
    ],
    ids=["a flipped bit", "a cut frame", "no end", "nothing", "another wire", "zeros", "a page"],
)
async def test_a_stream_in_another_form_is_not_an_answer(tmp_path: Path, body: bytes, error_type: str) -> None:
    async with at_bedrock(tmp_path) as (model, server):
        server.script(Raw(body, content_type=server.stream_type), Answer("fine"))
        error = await failure_of(model)
        assert (error.error_type, error.retryable) == (error_type, True)
        assert (await model.ask(ask_for(), 30)).text == "fine"


# ---- Logins ----


@pytest.mark.parametrize(("name", "remedy"), [("bedrock", "AWS CLI"), ("vertex", "gcloud auth")])
async def test_without_a_login_nothing_is_sent_and_the_remedy_is_the_clouds_own(
    name: Cloud, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_logins(monkeypatch, tmp_path)
    region = {"region": "eu-west-3"} if name == "bedrock" else {}  # the SDK keeps the login of each region
    async with BedrockServer() if name == "bedrock" else VertexServer() as server:
        model = CloudClaude(CloudPlace(cloud=name, base_url=server.url, **{**OWN[name], **region}))
        error = await failure_of(model)
        await model.close()
        assert server.count == 0
    assert (error.error_type, error.retryable, error.unbilled) == ("unauthorized", False, True)
    assert remedy in error.remedy
    assert (error.__cause__, error.__context__) == (None, None)


async def test_a_login_that_google_refuses_is_the_operators_to_fix_and_is_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_logins(monkeypatch, tmp_path)
    async with VertexServer() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google_login(tmp_path, f"{server.url}/token")))
        server.refused = "planted words about the account"
        model = cloud("vertex", server.url)
        error = await failure_of(model)
        await model.close()
    assert (error.error_type, server.count) == ("unauthorized", 0)
    assert "planted" not in "".join(traceback.format_exception(error))


async def test_a_token_that_cannot_be_fetched_for_the_network_may_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_logins(monkeypatch, tmp_path)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google_login(tmp_path, "http://127.0.0.1:9/token")))
    model = cloud("vertex", "http://127.0.0.1:9")
    error = await failure_of(model)
    await model.close()
    assert (error.error_type, error.retryable, error.unbilled) == ("unreachable", True, True)


async def test_an_error_that_quotes_the_login_is_shown_without_it(tmp_path: Path) -> None:
    token = AWS["AWS_SESSION_TOKEN"]
    async with at_bedrock(tmp_path) as (model, server):
        server.script(Failure(403, f"The canonical string should have been 'x-amz-security-token:{token}'"))
        error = await failure_of(model)
    assert token not in "".join(traceback.format_exception(error)) + repr(vars(error))
    assert "[key]" in error.what
    async with at_vertex(tmp_path) as (google, fake):
        fake.script(Failure(401, f"invalid token {GOOGLE_TOKEN}"))
        error = await failure_of(google)
    assert GOOGLE_TOKEN not in "".join(traceback.format_exception(error)) + repr(vars(error))


@pytest.mark.parametrize("name", AT)
async def test_no_log_holds_a_login_or_a_prompt_however_much_is_logged(
    name: Cloud, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with AT[name](tmp_path) as (model, server):
        server.script(Answer("fine"), Failure(500, "no"))
        await model.ask(ask_for("planted words of an event"), 30)
        await failure_of(model)
    secrets = [KEY, GOOGLE_TOKEN, AWS["AWS_SESSION_TOKEN"], AWS["AWS_SECRET_ACCESS_KEY"], "planted words"]
    logged = [caplog.text, *(repr(record.__dict__) for record in caplog.records)]
    assert caplog.records
    assert [one for one in secrets if any(one in text for text in logged)] == []


# ---- Places that are not known ----


@pytest.mark.parametrize(
    ("place", "key", "words"),
    [
        (CloudPlace(cloud="bedrock"), None, "region"),
        (CloudPlace(cloud="vertex", project="acme"), None, "region"),
        (CloudPlace(cloud="vertex", region="global"), None, "project"),
        (CloudPlace(cloud="foundry"), KEY, "resource"),
        (CloudPlace(cloud="foundry", resource="acme"), None, "no key"),
        (CloudPlace(cloud="foundry", resource="acme"), f"{KEY}\n", "holds characters"),
        (CloudPlace(cloud="bedrock", region="us-east-1"), f"{KEY} x", "holds characters"),
        (CloudPlace(cloud="bedrock", region="us-east-1", base_url="bedrock.example.com"), None, "not an http"),
    ],
)
def test_a_place_that_is_not_known_is_named_with_the_remedy(
    place: CloudPlace, key: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_logins(monkeypatch, tmp_path)
    for name in ("CLOUD_ML_REGION", "ANTHROPIC_VERTEX_PROJECT_ID", "ANTHROPIC_FOUNDRY_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=words) as caught:
        CloudClaude(place, key)
    assert caught.value.remedy
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "address"),
    [
        (CloudPlace(cloud="bedrock", region="us-east-1"), "https://bedrock-runtime.us-east-1.amazonaws.com"),
        (CloudPlace(cloud="vertex", region="global", project="p"), "https://aiplatform.googleapis.com/v1/"),
        (CloudPlace(cloud="foundry", resource="acme"), "https://acme.services.ai.azure.com/anthropic/"),
    ],
)
async def test_each_cloud_has_its_own_address(
    place: CloudPlace, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_logins(monkeypatch, tmp_path)
    model = CloudClaude(place, KEY if place.cloud == "foundry" else None)
    assert str(model.address) == address
    await model.close()
