"""The models of a pipeline file: a table for each provider. docs/pipeline.md explains the keys."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from streams.core.address import has_login
from streams.pipeline.dialects import CAPABILITIES, Capabilities, Dialect
from streams.pipeline.values import StrictTable

_PLACE = r"^[A-Za-z0-9][A-Za-z0-9:._-]*$"
_PLACES = {"region": ("bedrock", "vertex"), "project": ("vertex",), "resource": ("foundry",)}
"""Keys of a Claude model, and the clouds that they are for."""
_SECRET_HEADER = re.compile(r"authorization|cookie|key|token|secret|password", re.I)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _without_login(address: str | None) -> str | None:
    if address is not None and has_login(address):
        raise ValueError("a pipeline file must not hold secrets; remove the login from the address")
    return address


def _name_of_a_secret(name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]*(_KEY|_TOKEN|_SECRET|PASSWORD)", name):
        raise ValueError(
            "name an environment variable in capitals that ends in _KEY, _TOKEN or _SECRET: "
            "logs hide the values of such variables, and the file must not hold the key itself"
        )
    return name


Address = Annotated[str | None, AfterValidator(_without_login)]
KeyVariable = Annotated[str | None, AfterValidator(_name_of_a_secret)]
"""The name of the environment variable that holds a key; NAME_FILE may name a file with it instead."""


class ModelPolicy(StrictTable):
    """Limits for calls to a model, over all handlers of a process. Nothing here changes an answer."""

    requests_per_minute: int | None = Field(None, ge=1)
    input_tokens_per_minute: int | None = Field(None, ge=1)
    output_tokens_per_minute: int | None = Field(None, ge=1)
    retry_budget: float = Field(0.3, ge=0, le=0.9)
    """Share of the calls that may be retries."""


class ClaudeModelSpec(ModelPolicy):
    """A Claude model at Anthropic's API or at a gateway that speaks it."""

    provider: Literal["claude"]
    model: str
    base_url: Address = None
    api_key_env: KeyVariable = None
    """None for ANTHROPIC_API_KEY."""
    json_schema: bool = True
    """False for a server that ignores `output_config`: the prompt then states the schema."""
    images: bool = False
    """True if handlers may show it the image of an event."""
    at: Literal["bedrock", "vertex", "foundry"] | None = None
    """The cloud that serves it; None for Anthropic or a gateway."""
    region: str | None = Field(None, pattern=_PLACE)
    """Of Bedrock and Vertex; None for the cloud's own settings, as for the following."""
    project: str | None = Field(None, pattern=_PLACE)
    """Of Vertex."""
    resource: str | None = Field(None, pattern=_PLACE)
    """Of Foundry."""
    priced_as: str | None = None

    @model_validator(mode="after")
    def _of_its_cloud(self) -> ClaudeModelSpec:
        for name, clouds in _PLACES.items():
            if getattr(self, name) is not None and self.at not in clouds:
                raise ValueError(f"{name} goes with at = {' or '.join(map(repr, clouds))}")
        if self.at == "vertex" and self.api_key_env is not None:
            raise ValueError("Vertex takes no API key; it logs in with Google's application default credentials")
        if self.resource is not None and self.base_url is not None:
            raise ValueError("give either resource or base_url")
        return self


class OpenAIModelSpec(ModelPolicy):
    """A model behind any server with OpenAI's Chat Completions API."""

    provider: Literal["openai"]
    model: str
    base_url: Address = None
    """None for OpenAI's."""
    api_key_env: KeyVariable = None
    """None for OPENAI_API_KEY."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request."""
    dialect: Dialect = "openai"
    json_schema: bool | None = None
    """This and the following: None for what the dialect can do."""
    stream: bool | None = None
    stream_options: bool | None = None
    logprobs: bool | None = None
    seed: bool | None = None
    images: bool | None = None
    priced_as: str | None = None

    @property
    def capabilities(self) -> Capabilities:
        """The dialect's capabilities, with those that the file overrides."""
        given = {name: getattr(self, name) for name in Capabilities.__dataclass_fields__}
        return CAPABILITIES[self.dialect].overridden(given)

    @field_validator("headers")
    @classmethod
    def _no_secrets(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if _SECRET_HEADER.search(name):
                raise ValueError(f"{name} looks like a secret; name the key's variable in api_key_env instead")
            if not _HEADER.fullmatch(name) or not value.isascii() or not value.isprintable():
                raise ValueError(f"{name} is not a header of printable ASCII characters")
        return headers

    @model_validator(mode="after")
    def _somewhere(self) -> OpenAIModelSpec:
        if self.dialect != "openai" and self.base_url is None:
            raise ValueError(f'dialect = "{self.dialect}" needs base_url, for example http://127.0.0.1:8000/v1')
        return self


class LocalModelSpec(ModelPolicy):
    """A GGUF model, run in the worker's own process."""

    provider: Literal["local"]
    model: str
    """A name from `escalon models list`, or a path to a GGUF file."""
    threads: int = Field(2, ge=1, le=256)
    context: int = Field(4096, ge=512, le=1_000_000)
    """Tokens of context for each parallel call."""
    parallel: int = Field(1, ge=1, le=64)
    priced_as: str | None = None


class RecordedModelSpec(ModelPolicy):
    """Answers from a cassette, without a network."""

    provider: Literal["recorded"]
    model: str
    cassette: str
    images: bool = False
    """True if the recorded model was shown the images of events."""
    priced_as: str | None = None


ModelSpec = Annotated[
    ClaudeModelSpec | OpenAIModelSpec | LocalModelSpec | RecordedModelSpec, Field(discriminator="provider")
]


def sees_images(model: ModelSpec) -> bool:
    """True if a model is declared able to see images; one whose table has no such key sees none."""
    return bool(getattr(model, "images", False))


def enforces_schema(spec: ModelSpec) -> bool:
    """True if a model is held to a JSON schema; to another one the schema is stated in the prompt."""
    match spec:
        case ClaudeModelSpec():
            return spec.json_schema
        case OpenAIModelSpec():
            return spec.capabilities.json_schema
        case _:
            return True


def gives_logprobs(spec: ModelSpec) -> bool:
    """True if a model can give its tokens' log-probabilities."""
    match spec:
        case ClaudeModelSpec():
            return False
        case OpenAIModelSpec():
            return spec.capabilities.logprobs
        case _:
            return True
