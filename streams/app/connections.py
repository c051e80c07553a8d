"""One tiny call to each model of a pipeline file: what works, what it costs, how long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from io import BytesIO
from typing import Final

from streams.app.language_models import LanguageModels
from streams.app.settings import Settings
from streams.core.errors import EscalonError
from streams.core.pricing import cost
from streams.core.reply_contract import Contract
from streams.core.stated_schema import stated, unfenced
from streams.core.thinking import ROOM, default_max_tokens
from streams.models.providers.protocol import ImagePart, Loadable, ModelReply, ModelRequest
from streams.pipeline.load import Pipeline, price_of
from streams.pipeline.model_specs import ModelSpec, enforces_schema, gives_logprobs, sees_images
from streams.pipeline.thinking import known_thinking, reasons

SECONDS: Final = 60.0
ANSWER_TOKENS: Final = 64
_PROMPT: Final = "Say hello."
"""It names no JSON: only a model that is held to the schema, or to which it is stated, answers with it."""
_CONTRACT: Final = Contract(
    {
        "type": "object",
        "properties": {"greeting": {"type": "string", "enum": ["hello"]}},
        "required": ["greeting"],
        "additionalProperties": False,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Findings of one call to a model. None: not asked for, or not known because it failed."""

    model: str
    """Its key in the file."""
    provider: str
    name: str
    """The provider's name of the model."""
    answered: bool
    schema: str | None = None
    """`enforced`, `followed` where the prompt states it, or `broken`."""
    usage: bool | None = None
    """True if the tokens were counted."""
    logprobs: bool | None = None
    images: bool | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    first_token_seconds: float | None = None
    """About `seconds` where the reply did not come as a stream."""
    seconds: float | None = None
    problems: tuple[str, ...] = ()
    """Each with its remedy."""

    @property
    def ok(self) -> bool:
        """True if all that the file declares of it works."""
        return not self.problems


async def connections(pipeline: Pipeline, settings: Settings) -> list[Connection]:
    """Call each model of the file once; a recording, which has no other end, is left out."""
    found = []
    for key, spec in pipeline.spec.models.items():
        if spec.provider != "recorded":
            models = LanguageModels(pipeline, settings)
            try:
                found.append(await _tried(key, spec, pipeline, models))
            finally:
                await models.close()
    return found


async def _tried(key: str, spec: ModelSpec, pipeline: Pipeline, models: LanguageModels) -> Connection:
    request, began = _request(key, spec, pipeline), time.perf_counter()
    try:
        model = models.shared(key).model
        if isinstance(model, Loadable):
            await model.load()
        began = time.perf_counter()  # the time to load weights or a package does not count
        reply = await model.ask(request, SECONDS)
    except EscalonError as error:
        took = time.perf_counter() - began
        return Connection(
            model=key, provider=spec.provider, name=spec.model, answered=False, seconds=took, problems=(f"{error}",)
        )
    return _shown(key, spec, request, reply, pipeline, time.perf_counter() - began)


def _request(key: str, spec: ModelSpec, pipeline: Pipeline) -> ModelRequest:
    held, schema = enforces_schema(spec), _CONTRACT.wire_schema or {}
    asks = spec.provider == "openai" and gives_logprobs(spec) and _uses_logprobs(key, pipeline)
    return ModelRequest(
        model=spec.model,
        system="" if held else stated(schema),
        prompt=_PROMPT,
        max_tokens=_max_tokens(spec),
        schema=schema if held else None,
        parameters={"logprobs": True} if asks else {},
        images=(_image(),) if sees_images(spec) else (),
    )


def _max_tokens(spec: ModelSpec) -> int:
    if spec.provider == "claude":
        return default_max_tokens(ANSWER_TOKENS, known_thinking(spec.model), {})
    return ANSWER_TOKENS + (ROOM if spec.provider == "openai" and reasons(spec.model, {}) else 0)


def _uses_logprobs(key: str, pipeline: Pipeline) -> bool:
    handlers = [*pipeline.listeners.values(), *pipeline.workers.values(), *pipeline.reasoners.values()]
    asking = [one for own in handlers for one in (own, own.fallback) if one is not None and one.prompting is not None]
    return any(one.prompts.model == key and "logprob" in one.prompts.confidence for one in asking)


def _image() -> ImagePart:
    from PIL import Image

    made = BytesIO()
    Image.new("RGB", (32, 32), "white").save(made, "PNG")
    return ImagePart("", "image/png", made.getvalue())


def _shown(
    key: str, spec: ModelSpec, request: ModelRequest, reply: ModelReply, pipeline: Pipeline, seconds: float
) -> Connection:
    text = reply.text if request.schema is not None else unfenced(reply.text)
    kept = _CONTRACT.read(text, reply.stop_reason, reply.refusal).status == "answered"
    works = "enforced" if request.schema is not None else "followed"
    logprobs = bool(reply.tokens) if request.parameters or spec.provider == "local" else None
    usage = None not in (reply.input_tokens, reply.output_tokens)
    return Connection(
        model=key,
        provider=spec.provider,
        name=spec.model,
        answered=True,
        schema=works if kept else "broken",
        usage=usage,
        logprobs=logprobs,
        images=True if request.images else None,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        cost_usd=_cost(spec, reply, pipeline),
        first_token_seconds=reply.first_token_seconds,
        seconds=seconds,
        problems=tuple(_problems(key, request, reply, kept=kept, usage=usage, logprobs=logprobs)),
    )


def _problems(
    key: str, request: ModelRequest, reply: ModelReply, *, kept: bool, usage: bool, logprobs: bool | None
) -> Iterator[str]:
    if not kept and request.schema is not None:
        what = f"its server does not hold it to a schema ({reply.text[:80]!r}, stop reason {reply.stop_reason})."
        yield f"{what} Set json_schema = false in [models.{key}]; then the prompt states the schema."
    elif not kept:
        yield f"it does not follow a schema that the prompt states ({reply.text[:80]!r}). Use a more capable model."
    if not usage:
        yield f"its server counts no tokens. Costs stay unknown; set stream = false in [models.{key}] if that helps."
    if logprobs is False:
        yield f"it gives no log-probabilities. Set logprobs = false in [models.{key}], and use another confidence."


def _cost(spec: ModelSpec, reply: ModelReply, pipeline: Pipeline) -> Decimal | None:
    price = price_of(spec, pipeline.prices)
    if reply.unbilled or (price is None and spec.provider == "local"):
        return Decimal(0)
    counts = reply.input_tokens, reply.output_tokens, *_cached(spec, reply)
    return cost(price, *counts) if price is not None else None


def _cached(spec: ModelSpec, reply: ModelReply) -> tuple[int | None, int | None]:
    """Return the tokens read from and written to a cache, as they are billed: see calling.record.cache_tokens."""
    if spec.provider == "local":
        return 0, 0
    absent = 0 if spec.provider == "claude" and enforces_schema(spec) else None
    unwritten = 0 if spec.provider == "openai" else absent
    read, written = reply.cache_read_tokens, reply.cache_write_tokens
    return absent if read is None else read, unwritten if written is None else written
