"""Checks of a handler's request against what its provider takes, made without asking it."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterable, Iterator

from streams.core.errors import ConfigError, ModelError
from streams.core.thinking import check_thinking, warn_of_few_tokens
from streams.models.providers.protocol import ModelRequest
from streams.pipeline.handlers import Handler
from streams.pipeline.load import Pipeline, price_of
from streams.pipeline.model_specs import ModelSpec
from streams.pipeline.thinking import known_thinking

_NAMES = {"claude": "Claude", "openai": "the model's server", "local": "llama.cpp"}


def has_batches(spec: ModelSpec) -> bool:
    """True if a model's provider has a batch API that escalon knows."""
    if spec.provider == "claude":
        return spec.at is None
    return spec.provider == "openai" and spec.dialect == "openai"


def check_request(handler: Handler, spec: ModelSpec, key: str) -> None:
    """Make the request a handler would make, as far as its provider would take it; ConfigError under the key.

    A schema is turned into its provider's form. For llama.cpp it is compiled, where the library is installed.
    """
    if handler.batch is not None and not has_batches(spec):
        remedy = 'Remove it, or use a model of the provider "claude", not at a cloud, or of "openai" with that dialect.'
        raise ConfigError("its model's provider has no batch API.", remedy, f"{key}.batch")
    try:
        if spec.provider == "claude":
            from streams.models.providers.claude_request import message_arguments

            message_arguments(_request(handler, spec))
            check_thinking(known_thinking(spec.model), handler.prompts.parameters, handler.prompts.max_tokens)
        elif spec.provider == "openai":
            from streams.models.providers.openai_request import chat_arguments

            chat_arguments(_request(handler, spec), spec.dialect, spec.capabilities)
        elif spec.provider == "local":
            from streams.models.providers.local_request import completion_body

            completion_body(_request(handler, spec))
            _compile(handler)
    except (ModelError, ConfigError) as error:
        raise ConfigError(f"its model would not take the request: {error.what}", error.remedy, key) from error


def _request(handler: Handler, spec: ModelSpec) -> ModelRequest:
    contract = handler.prompting.contract if handler.prompting and not handler.prompting.stated else None
    return ModelRequest(
        model=spec.model,
        system="",
        prompt="-",
        max_tokens=handler.prompts.max_tokens,
        schema=contract.wire_schema if contract else None,
        parameters=handler.prompts.parameters,
    )


def _compile(handler: Handler) -> None:
    from streams.models.providers.local_grammar import check_grammar

    if handler.prompting is None or importlib.util.find_spec("xllamacpp") is None:
        return
    contract = handler.prompting.contract
    # An answer that is impossible would be lost in silence beside a refusal, so it is compiled alone as well.
    for schema in (dataclasses.replace(contract, refusal="none").wire_schema, contract.wire_schema):
        if schema is not None:
            check_grammar(schema)


def little_room(handlers: Iterable[Handler], pipeline: Pipeline) -> Iterator[str]:
    """Warn of handlers whose thinking may leave nothing of max_tokens for an answer, with the remedy."""
    for one in _asking(handlers):
        spec = pipeline.spec.models[one.prompts.model or ""]
        if spec.provider == "claude":
            said = warn_of_few_tokens(known_thinking(spec.model), one.prompts.parameters, one.prompts.max_tokens)
            if said is not None:
                yield f"{one.tier}s.{one.name}: {said}"


def unseen_images(handlers: Iterable[Handler]) -> Iterator[str]:
    """Warn of handlers that ask for an event's image, and whose model learns nothing of it."""
    for one in handlers:
        prompting, inputs = one.prompting, one.prompts.inputs if one.prompting else ()
        if prompting is None or prompting.sees_images or "image" not in inputs or "image" in prompting.template.names:
            continue
        if "inputs" in one.prompts.model_fields_set:
            what = f'{one.tier}s.{one.name}: "image" is in its inputs, but {prompting.model_key} is shown no images'
            remedy = f"Set images = true in [models.{prompting.model_key}] if the model sees them, or leave it out."
            yield f"{what}, and its prompt does not print the image's hash. {remedy}"


def unpriced(handlers: Iterable[Handler], pipeline: Pipeline) -> Iterator[str]:
    """Warn of models whose calls have no price, with the remedy. Local models cost nothing unless they are priced."""
    asking = [*_asking(handlers)]
    batching = {one.prompts.model for one in asking if one.batch is not None}
    for key in dict.fromkeys(one.prompts.model or "" for one in asking):
        spec = pipeline.spec.models[key]
        price = price_of(spec, pipeline.prices)
        if spec.provider != "local" and price is None:
            what = f"models.{key}: the price list has no {spec.priced_as or spec.model}, so its calls' cost is unknown."
            yield f"{what} Set priced_as to a model of the list, or add it to a list of your own (prices)."
        elif price is not None and price.batch is None and key in batching:
            what = f"models.{key}: the price list does not say what a call in a batch costs, so the cost is unknown."
            yield f"{what} Write the share, such as batch = 0.5, at the head of your list (prices)."


def _asking(handlers: Iterable[Handler]) -> Iterator[Handler]:
    """Yield the handlers that ask a language model, and their fallbacks."""
    for handler in handlers:
        yield from (one for one in (handler, handler.fallback) if one is not None and one.prompting is not None)


def not_held_to(handlers: Iterable[Handler], pipeline: Pipeline) -> Iterator[str]:
    """Name the keywords of each handler's schema that its provider does not enforce, in one sentence a model."""
    from streams.models.providers import claude_schema, local_grammar

    unenforced = {
        "claude": claude_schema.unenforced,
        "openai": claude_schema.unenforced,
        "local": local_grammar.unenforced,
    }
    for one in _asking(handlers):
        if one.prompting is not None and one.prompting.stated:
            what = "its model is not held to the schema, so the prompt states it"
            yield f"{one.tier}s.{one.name}: {what}. An answer that breaks it is invalid."
            continue
        schema = one.prompting.contract.wire_schema if one.prompting else None
        provider = pipeline.spec.models[one.prompts.model or ""].provider
        if schema is not None and provider in unenforced and (found := unenforced[provider](schema)):
            said = ", ".join(f"{key} ({', '.join(places)})" for key, places in found.items())
            where = f"{one.tier}s.{one.name}"
            yield f"{where}: {_NAMES[provider]} is not held to {said}. An answer that breaks it is invalid."
