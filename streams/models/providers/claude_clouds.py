"""Claude at Amazon Bedrock, Google's Vertex and Microsoft's Foundry, through the clients of Anthropic's package.

They rewrite the body, name the model in the path and log in by the cloud's own chain. At Bedrock a stream has the form
of AWS's event streams, and each of its chunks holds one event of the Messages API.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

import anthropic
import httpx2

from streams.core.errors import ConfigError, ModelError
from streams.core.process_fault import process_fault
from streams.models.providers.claude import STREAM, ClaudeModel, Client, client_options
from streams.models.providers.claude_errors import CLAUDE, FOREIGN_ERRORS
from streams.models.providers.failures import Api, failure
from streams.models.providers.sdk_client import checked_key, checked_url

# Their debug lines hold requests as they are sent: prompts, images, Foundry's key, and tokens of AWS.
for _library in ("anthropic", "botocore"):
    logging.getLogger(_library).setLevel(logging.INFO)

Cloud = Literal["bedrock", "vertex", "foundry"]

FOUNDRY_KEY: Final = "ANTHROPIC_FOUNDRY_API_KEY"
BEDROCK_KEY: Final = "AWS_BEARER_TOKEN_BEDROCK"
_NO_NETWORK: Final = ("Connect", "Timeout", "Transport", "HTTPClient", "SSL", "Proxy")
"""Parts of the names of botocore's and google-auth's exceptions about the network, for one to fetch a token."""
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html, as a stream names them.
_AWS_TYPES: Final[Mapping[str, str]] = {
    "throttlingException": "rate_limited",
    "modelTimeoutException": "timeout",
    "serviceUnavailableException": "overloaded",
    "validationException": "bad_request",
}
_MODEL_ERROR: Final = 424
"""Bedrock's status for a model that failed."""


def _aws_said(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or body.get("Message") or CLAUDE.said(error))


def _aws_error_type(error: Any, said: str) -> str:
    kind = _AWS_TYPES.get(str(error.type)) if error.status_code == httpx2.codes.OK else None
    if error.status_code == _MODEL_ERROR:
        return "server_error"
    return kind if kind not in (None, "bad_request") else CLAUDE.error_type(error, said)


_APIS: Final[Mapping[Cloud, Api]] = {
    "bedrock": replace(
        CLAUDE, name="Claude at Bedrock", id_header="x-amzn-requestid", said=_aws_said, error_type=_aws_error_type
    ),
    "vertex": replace(CLAUDE, name="Claude at Vertex"),
    "foundry": replace(CLAUDE, name="Claude at Foundry"),
}
_LOGIN: Final[Mapping[Cloud, str]] = {
    "bedrock": f"Log in as for the AWS CLI (environment, profile or role), or set {BEDROCK_KEY}.",
    "vertex": "Log in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
    "foundry": f"Set {FOUNDRY_KEY}.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudPlace:
    """A cloud, and the place in it; what is None comes from the cloud's own settings."""

    cloud: Cloud
    region: str | None = None
    """Of Bedrock and Vertex."""
    project: str | None = None
    """Of Vertex."""
    resource: str | None = None
    """Of Foundry."""
    base_url: str | None = None
    """In place of the cloud's own address."""


class CloudClaude(ClaudeModel):
    """Claude at a cloud. Raises ConfigError for a place that is not known, and for a key that cannot be one."""

    def __init__(
        self,
        place: CloudPlace,
        api_key: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cloud = place.cloud
        api = _APIS[place.cloud]
        self._use(_CLIENTS[place.cloud](place, api_key, client_options(api)), api, clock, now)

    async def _post(self, body: Mapping[str, Any]) -> httpx2.Response:
        # As a dict and to a relative address: these clients rewrite both.
        try:
            made = await self._client.post(
                "/v1/messages", body=dict(body), cast_to=object, stream=True, stream_cls=STREAM
            )
            return made.response
        except (*FOREIGN_ERRORS, ModelError):
            raise
        except Exception as error:  # of botocore or google-auth, which have no base class in common
            problem = process_fault(error) or self._without_login(error)
        raise problem  # unchained, because the foreign error may quote what it logged in with

    def _without_login(self, error: Exception) -> ModelError:
        name = type(error).__name__
        if any(part in name for part in _NO_NETWORK):
            what = f"{self._api.name} cannot be logged in to, for the network ({name})."
            return failure("unreachable", what, unbilled=True)
        what = f"{self._api.name} cannot be logged in to ({name})."
        return ModelError("unauthorized", what, _LOGIN[self._cloud], retryable=False, unbilled=True)

    async def _events(self, response: httpx2.Response) -> AsyncGenerator[Mapping[str, Any]]:
        if self._cloud != "bedrock":
            async for event in super()._events(response):
                yield event
            return
        from botocore.eventstream import ParserError

        try:
            async for part in STREAM(cast_to=object, response=response, client=cast(Any, self._client)):
                yield _checked_event(part)
        except ParserError as error:
            raise ValueError("not an event stream of AWS") from error


def _checked_event(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise ValueError("an event is not a JSON object with a type")
    return value


def _bedrock(place: CloudPlace, api_key: str | None, options: dict[str, Any]) -> Client:
    key = None if api_key is None else checked_key(api_key, BEDROCK_KEY)
    try:
        client = anthropic.AsyncAnthropicBedrock(
            aws_region=place.region, api_key=key, base_url=place.base_url, **options
        )
    except Exception as error:  # ValueError without a region; botocore's own for an unknown profile
        what = f"Bedrock's region is not known ({type(error).__name__})."
        raise ConfigError(what, "Set region in the model's table, or AWS_REGION.", "models") from None
    checked_url(str(client.base_url))
    return client


def _vertex(place: CloudPlace, _: str | None, options: dict[str, Any]) -> Client:
    try:
        client = anthropic.AsyncAnthropicVertex(
            region=place.region or anthropic.NOT_GIVEN,
            project_id=place.project or anthropic.NOT_GIVEN,
            base_url=place.base_url,
            **options,
        )
    except ValueError:
        raise ConfigError(
            "Vertex's region is not known.", 'Set region in the model\'s table, for example "global".', "models"
        ) from None
    if client.project_id is None:
        remedy = "Set project in the model's table, or ANTHROPIC_VERTEX_PROJECT_ID."
        raise ConfigError("Vertex's project is not known.", remedy, "models")
    checked_url(str(client.base_url))
    return client


def _foundry(place: CloudPlace, api_key: str | None, options: dict[str, Any]) -> Client:
    if api_key is None:
        raise ConfigError("no key is set for Claude at Foundry.", _LOGIN["foundry"], FOUNDRY_KEY)
    key = checked_key(api_key, FOUNDRY_KEY)
    try:
        if place.base_url is not None:
            client = anthropic.AsyncAnthropicFoundry(base_url=checked_url(place.base_url), api_key=key, **options)
        else:
            client = anthropic.AsyncAnthropicFoundry(resource=place.resource, api_key=key, **options)
    except ValueError:
        remedy = "Set resource or base_url in the model's table, or ANTHROPIC_FOUNDRY_RESOURCE."
        raise ConfigError("Foundry's resource is not known.", remedy, "models") from None
    return client


_CLIENTS: Final[Mapping[Cloud, Callable[[CloudPlace, str | None, dict[str, Any]], Client]]] = {
    "bedrock": _bedrock,
    "vertex": _vertex,
    "foundry": _foundry,
}
