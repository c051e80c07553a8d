"""The contract between a handler and its model: the form of an answer, and of a refusal.

A model answers `{"answer": ...}` or refuses with `{"refusal": {"class": ..., "reason": ...}}`; in plain text a
refusal is a reply that starts with the token, as in `REFUSE(missing_information): no order number`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NoReturn, get_args

from streams.core.confidence import probability
from streams.core.messages import AttemptStatus, RefusalClass
from streams.core.process_fault import raise_process_fault

RefusalContract = Literal["field", "token", "none"]
REFUSAL_CLASSES: tuple[RefusalClass, ...] = get_args(RefusalClass)
MAX_REASON = 200
MAX_ERROR = 500
MAX_REPLY = 200_000
"""In characters. Together with the largest prompt, a call still fits into one Kafka message."""
DEFINITIONS = "$defs"
GOOD_ENDS = frozenset({"end_turn", "stop_sequence"})
"""The only stop reasons, as the Messages API names them, after which a reply is complete."""
_UNFINISHED: Mapping[str, str] = {
    "model_context_window_exceeded": "the prompt leaves too little of the model's context, so shorten it",
    "tool_use": "the model called a tool, so remove the tool at the gateway",
    "pause_turn": "the provider paused a tool call, so remove the tool at the gateway",
    "content_filter": "the provider's filter stopped it",
}
_NOTHING_LEFT = "max_tokens ran out before the answer began; thinking counts towards it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A model's reply, read by the contract."""

    status: AttemptStatus
    answer: str | None = None
    refusal_class: RefusalClass | None = None
    refusal_reason: str | None = None
    verbalized: float | None = None
    """The confidence the model stated; None for anything but a number from 0 to 1."""
    error_type: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Contract:
    """The form that a handler asks of replies. `schema` is the JSON schema of the answer, None for plain text."""

    schema: Mapping[str, Any] | None = None
    refusal: RefusalContract = "none"
    token: str = "REFUSE"
    verbalized: bool = False

    @cached_property
    def wire_schema(self) -> Mapping[str, Any] | None:
        if self.schema is None:
            return None
        answer: dict[str, Any] = {"answer": {key: part for key, part in self.schema.items() if key != DEFINITIONS}}
        if self.verbalized:
            answer["confidence"] = {"type": "number"}
        shapes = [object_schema(answer)]
        if self.refusal == "field":
            refusal = {
                "class": {"type": "string", "enum": list(REFUSAL_CLASSES)},
                "reason": {"type": "string", "maxLength": MAX_REASON},
            }
            shapes.append(object_schema({"refusal": object_schema(refusal)}))
        whole = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        # References are resolved from the root, and the answer's schema is not the root any more.
        return whole | {key: part for key, part in self.schema.items() if key == DEFINITIONS}

    @cached_property
    def validator(self) -> Any:
        import jsonschema  # here: a handler without a schema does not load it

        return jsonschema.Draft202012Validator(dict(self.schema or {}))

    def read(
        self, text: str, stop_reason: str, provider_refusal: str | None, thinking_tokens: int | None = None
    ) -> Reading:
        """Read a reply: refused, answered, or invalid with the reason. No text makes it raise.

        After a stop reason outside GOOD_ENDS there is never an answer, even if the text parses.
        """
        if (oversized := too_large(text)) is not None:
            return oversized
        text = encodable(text)
        if stop_reason == "refusal":
            said = (provider_refusal or "the provider's safety system stopped the answer")[:MAX_REASON]
            return Reading(status="refused", refusal_class="unsafe", refusal_reason=encodable(said))
        if self.refusal == "token" and (match := self._token_pattern.match(text)):
            return refused(match["kind"], match["reason"])
        if stop_reason not in GOOD_ENDS:
            return _invalid("truncated", _cut(stop_reason, text, thinking_tokens))
        return self._read_plain(text) if self.schema is None else self._read_json(text)

    @cached_property
    def _token_pattern(self) -> re.Pattern[str]:
        token = re.escape(self.token)
        return re.compile(rf"\s*{token}(?![A-Za-z0-9_])(?:\((?P<kind>[A-Za-z_ ]*)\))?\s*[:\-]?\s*(?P<reason>.*)", re.S)

    def _read_plain(self, text: str) -> Reading:
        if not text.strip():
            return _invalid("empty", "the model said nothing")
        return Reading(status="answered", answer=text.strip())

    def _read_json(self, text: str) -> Reading:
        try:
            value = _DECODER.decode(text)
            if not isinstance(value, dict):
                return _invalid("schema", "the reply is not a JSON object")
            refusal = value.get("refusal")
            if self.refusal == "field" and isinstance(refusal, dict):
                return refused(refusal.get("class"), refusal.get("reason"))
            return self._read_answer(value)
        except (ValueError, RecursionError) as error:
            return _invalid("not_json", f"{error}")

    def _read_answer(self, value: Mapping[str, Any]) -> Reading:
        if "answer" not in value:
            return _invalid("schema", "the reply has neither an answer nor a refusal")
        answer = json.dumps(value["answer"], ensure_ascii=False)
        answer.encode()  # raises for half a surrogate pair, which JSON can escape but UTF-8 cannot hold
        if (fault := self._fault(value["answer"])) is not None:
            return _invalid("schema", fault)
        return Reading(
            status="answered",
            answer=answer,
            verbalized=probability(value.get("confidence")) if self.verbalized else None,
        )

    def _fault(self, answer: Any) -> str | None:
        from jsonschema.exceptions import best_match

        try:
            error = best_match(self.validator.iter_errors(answer))
        except Exception as failure:  # such as a number that fits no float, or a reference to nothing
            raise_process_fault(failure)
            return f"the answer cannot be checked ({type(failure).__name__}: {failure})"
        return None if error is None else f"{error.json_path}: {error.message}"


def check_schema(schema: Any) -> None:
    """Raise jsonschema.SchemaError unless it is a JSON schema object that refers only to its own $defs."""
    import jsonschema  # here, as in `validator`
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    if not isinstance(schema, dict):
        raise jsonschema.SchemaError("the schema is not a JSON object")
    jsonschema.Draft202012Validator.check_schema(schema)
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
            if not reference.startswith(f"#/{DEFINITIONS}/"):
                raise jsonschema.SchemaError(f"{reference!r} refers to something outside {DEFINITIONS}")
        except Unresolvable as error:
            raise jsonschema.SchemaError(f"{reference!r} refers to a definition that is missing") from error


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        schema = list(schema.values())
    for item in schema if isinstance(schema, list) else ():
        yield from _references(item)


def object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an object that has exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def refused(kind: object, reason: object) -> Reading:
    """Read a refusal; an unknown class becomes `other`."""
    name = str(kind or "").strip().lower().replace(" ", "_")
    refusal_class: RefusalClass = next((known for known in REFUSAL_CLASSES if known == name), "other")
    text = encodable(str(reason or "").strip()[:MAX_REASON])
    return Reading(status="refused", refusal_class=refusal_class, refusal_reason=text or None)


def too_large(text: str) -> Reading | None:
    """Return an invalid reading if a reply is too large, else None."""
    if len(text) <= MAX_REPLY:
        return None
    return _invalid("too_large", f"the reply has {len(text)} characters, {MAX_REPLY} are allowed")


def _cut(stop_reason: str, text: str, thinking_tokens: int | None) -> str:
    if stop_reason != "max_tokens":
        what = _UNFINISHED.get(stop_reason, "this stop reason is unknown; look it up in the provider's documentation")
        return f"the answer is incomplete: it ended with stop reason {encodable(stop_reason[:MAX_REASON])!r}; {what}"
    if not text.strip():
        spent = f"all max_tokens went to thinking ({thinking_tokens} tokens)" if thinking_tokens else _NOTHING_LEFT
        return f"{spent}; raise max_tokens or switch thinking off"
    if thinking_tokens:
        spent = f"the answer was cut at max_tokens, of which thinking took {thinking_tokens}"
        return f"{spent}; raise max_tokens or switch thinking off"
    return "the answer was cut at max_tokens; raise it or ask for less"


def _invalid(error_type: str, error: str) -> Reading:
    return Reading(status="invalid", error_type=error_type, error=encodable(error[:MAX_ERROR]))


def encodable(text: str) -> str:
    """Replace each half of a surrogate pair in a text by a question mark."""
    return text.encode("utf-8", "replace").decode()


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits[:20])


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)
