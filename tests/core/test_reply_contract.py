"""Every reply of a model is an answer, a refusal, or invalid."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.reply_contract import (
    MAX_REASON,
    REFUSAL_CLASSES,
    Contract,
    Reading,
    RefusalContract,
    check_schema,
    refused,
)

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "integer"}, "price": {"type": "number", "multipleOf": 0.01}},
    "required": ["number"],
    "additionalProperties": False,
}
SCHEMAS: list[dict[str, Any] | None] = [None, {}, {"type": "string"}, ORDER, {"type": "array", "items": {"$ref": "#"}}]
any_text = st.text(st.characters()) | st.text('{}[]":,0123456789.eE+-nulltrueNaN\\ud8 REFUSE()answer')
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
replies = st.dictionaries(st.sampled_from(["answer", "refusal", "confidence", "class", "reason"]), json_values)
contracts = st.builds(
    Contract,
    schema=st.sampled_from(SCHEMAS),
    refusal=st.sampled_from(["field", "token", "none"]),
    verbalized=st.booleans(),
)


def check_consistent(reading: Reading) -> None:
    """Each status has what belongs to it and nothing else, and all of it can be written as UTF-8."""
    assert (reading.answer is not None) == (reading.status == "answered")
    assert (reading.refusal_class is not None) == (reading.status == "refused")
    assert (reading.error_type is not None) == (reading.error is not None) == (reading.status == "invalid")
    assert reading.refusal_class in (None, *REFUSAL_CLASSES)
    assert reading.verbalized is None or 0 <= reading.verbalized <= 1
    for text in (reading.answer, reading.refusal_reason, reading.error):
        assert text is None or text.encode().decode() == text


@given(contracts, any_text, st.sampled_from(["end_turn", "max_tokens", "refusal", ""]), st.none() | any_text)
def test_reading_never_raises_for_any_text(
    contract: Contract, text: str, stop_reason: str, provider_refusal: str | None
) -> None:
    check_consistent(contract.read(text, stop_reason, provider_refusal))


@given(contracts, replies)
def test_reading_never_raises_for_any_json(contract: Contract, reply: dict[str, Any]) -> None:
    check_consistent(contract.read(json.dumps(reply), "end_turn", None))


@given(contracts, st.integers(min_value=1, max_value=3000))
def test_reading_never_raises_however_deep_the_json_is(contract: Contract, depth: int) -> None:
    for key in ("answer", "refusal"):
        check_consistent(contract.read(f'{{"{key}": {"[" * depth}{"]" * depth}}}', "end_turn", None))


@given(st.sampled_from([{}, {"type": ["string", "integer", "boolean", "null", "array", "object"]}]), json_values)
def test_an_answer_that_fits_comes_back_as_the_same_json(schema: dict[str, Any], value: Any) -> None:
    reading = Contract(schema=schema).read(json.dumps({"answer": value}), "end_turn", None)
    if reading.status == "answered":
        assert json.loads(reading.answer or "") == value
    else:
        assert reading.error_type in ("schema", "not_json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_a_number_that_json_has_not_makes_the_reply_invalid(number: str) -> None:
    reading = Contract(schema={"type": "number"}).read(f'{{"answer": {number}}}', "end_turn", None)
    assert (reading.status, reading.error_type) == ("invalid", "not_json")


def test_an_answer_with_half_a_surrogate_pair_is_invalid_because_nothing_could_store_it() -> None:
    reading = Contract(schema={}).read('{"answer": "\\ud83d"}', "end_turn", None)
    assert (reading.status, reading.error_type) == ("invalid", "not_json")


def test_a_number_too_large_for_a_float_breaks_no_check() -> None:
    reading = Contract(schema={"multipleOf": 0.5}).read(f'{{"answer": 1{"0" * 400}}}', "end_turn", None)
    assert (reading.status, reading.error_type) == ("invalid", "schema")


@pytest.mark.parametrize(
    ("text", "error_type"),
    [
        ("hello", "not_json"),
        ("[1]", "schema"),
        ("{}", "schema"),
        ('{"answer": {"number": "7"}}', "schema"),
        ('{"answer": {}}', "schema"),
        ('{"answer": {"number": 7, "note": ""}}', "schema"),
    ],
)
def test_a_reply_that_breaks_the_schema_is_invalid_and_says_how(text: str, error_type: str) -> None:
    reading = Contract(schema=ORDER).read(text, "end_turn", None)
    assert (reading.status, reading.error_type) == ("invalid", error_type)
    assert reading.error


@given(st.sampled_from(REFUSAL_CLASSES), st.text(min_size=1).filter(str.strip))
def test_a_refusal_by_field_is_typed(kind: str, reason: str) -> None:
    text = json.dumps({"refusal": {"class": kind, "reason": reason}})
    reading = Contract(schema=ORDER, refusal="field").read(text, "end_turn", None)
    assert (reading.status, reading.refusal_class) == ("refused", kind)
    assert reading.refusal_reason == reason.strip()[:MAX_REASON]


@given(st.sampled_from(REFUSAL_CLASSES), st.sampled_from(["", " ", "\n"]), st.sampled_from([": ", " - ", " ", "\n"]))
def test_a_refusal_by_token_is_typed(kind: str, before: str, between: str) -> None:
    reading = Contract(refusal="token").read(f"{before}REFUSE({kind}){between}no order number", "end_turn", None)
    assert (reading.status, reading.refusal_class, reading.refusal_reason) == ("refused", kind, "no order number")


@given(st.sampled_from(["field", "token", "none"]), st.none() | st.text(min_size=1) | st.just("no " * 99))
def test_a_refusal_by_the_provider_counts_under_every_contract(how: RefusalContract, words: str | None) -> None:
    reading = Contract(refusal=how).read("", "refusal", words)
    assert (reading.status, reading.refusal_class) == ("refused", "unsafe")
    assert reading.refusal_reason == (words or "the provider's safety system stopped the answer")[:MAX_REASON]


@pytest.mark.parametrize("text", ["REFUSED to pay, says the customer", "Do not REFUSE", "REFUSE_NOT: x"])
def test_a_text_that_only_holds_the_token_is_an_answer(text: str) -> None:
    assert Contract(refusal="token").read(text, "end_turn", None) == Reading(status="answered", answer=text)


def test_without_the_contract_a_refusal_is_an_answer() -> None:
    assert Contract(refusal="none").read("REFUSE: no", "end_turn", None).status == "answered"
    by_field = '{"refusal": {"class": "policy", "reason": "no"}}'
    assert Contract(schema=ORDER, refusal="token").read(by_field, "end_turn", None).status == "invalid"


@pytest.mark.parametrize(
    ("kind", "known"), [("Out of scope", "out_of_scope"), ("UNSAFE", "unsafe"), ("rude", "other"), (7, "other")]
)
def test_a_class_is_known_in_any_spelling_and_an_unknown_one_is_other(kind: object, known: str) -> None:
    assert refused(kind, "x").refusal_class == known


def test_a_refusal_wins_over_an_answer_beside_it_and_null_is_not_a_refusal() -> None:
    contract = Contract(schema={}, refusal="field")
    assert contract.read('{"answer": 1, "refusal": {}}', "end_turn", None).status == "refused"
    assert contract.read('{"answer": 1, "refusal": null}', "end_turn", None).answer == "1"


def test_a_reply_cut_at_the_limit_is_invalid_unless_it_had_refused_by_then() -> None:
    contract = Contract(refusal="token")
    assert contract.read("The order is", "max_tokens", None).error_type == "truncated"
    assert contract.read("REFUSE(policy): we do not", "max_tokens", None).status == "refused"


@pytest.mark.parametrize(
    "stop_reason",
    ["max_tokens", "model_context_window_exceeded", "tool_use", "pause_turn", "content_filter", "length", "stop", ""],
)
@pytest.mark.parametrize("schema", [None, {}])
def test_only_a_good_end_makes_an_answer_even_if_what_was_cut_off_happens_to_parse(
    schema: dict[str, Any] | None, stop_reason: str
) -> None:
    reading = Contract(schema=schema).read('{"answer": 1}', stop_reason, None)
    assert (reading.status, reading.error_type) == ("invalid", "truncated")


@given(contracts, any_text | replies.map(json.dumps), st.text(st.characters()))
def test_no_other_stop_reason_known_or_new_makes_an_answer(contract: Contract, text: str, stop_reason: str) -> None:
    reading = contract.read(text, stop_reason, None)
    assert reading.status != "answered" or stop_reason in ("end_turn", "stop_sequence")
    check_consistent(reading)


@pytest.mark.parametrize(
    ("text", "thinking_tokens", "said"),
    [
        ("", 300, "all max_tokens went to thinking (300 tokens); raise max_tokens or switch thinking off"),
        (" ", None, "max_tokens ran out before the answer began; thinking counts towards it; raise max_tokens"),
        ("The shop", 280, "cut at max_tokens, of which thinking took 280; raise max_tokens or switch thinking off"),
        ("The shop", 0, "cut at max_tokens; raise it"),
        ("The shop", None, "cut at max_tokens; raise it"),
    ],
)
def test_a_cut_says_what_thinking_took(text: str, thinking_tokens: int | None, said: str) -> None:
    reading = Contract().read(text, "max_tokens", None, thinking_tokens)
    assert reading.error_type == "truncated"
    assert said in (reading.error or "")


def test_a_plain_answer_is_trimmed_and_an_empty_one_is_invalid() -> None:
    assert Contract().read("  hello\n", "end_turn", None).answer == "hello"
    assert Contract().read(" \n", "end_turn", None).error_type == "empty"


@pytest.mark.parametrize(
    ("stated", "read"),
    [
        ("0.7", 0.7), ("0", 0.0), ("1", 1.0), ("-0.0", 0.0), ("1.0000001", None), ("2", None), ("35", None),
        ("-1", None), ("-1e-9", None), ("1" + "0" * 400, None), ('"high"', None), ('"0.9"', None), ('"90%"', None),
        ("true", None), ("false", None), ("null", None), ("[0.9]", None), ('{"value": 0.9}', None),
    ],
)  # fmt: skip
def test_the_stated_confidence_is_a_number_from_0_to_1_or_unknown(stated: str, read: float | None) -> None:
    text = f'{{"answer": 1, "confidence": {stated}}}'
    assert Contract(schema={}, verbalized=True).read(text, "end_turn", None).verbalized == read
    assert Contract(schema={}).read(text, "end_turn", None).verbalized is None


@pytest.mark.parametrize("verbalized", [False, True])
@pytest.mark.parametrize("refusal", ["field", "token", "none"])
def test_what_the_schema_on_the_wire_allows_is_what_is_read(refusal: RefusalContract, verbalized: bool) -> None:
    contract = Contract(schema=ORDER, refusal=refusal, verbalized=verbalized)
    assert contract.wire_schema is not None
    allowed = jsonschema.Draft202012Validator(dict(contract.wire_schema))
    answer: dict[str, Any] = {"answer": {"number": 7}} | ({"confidence": 0.5} if verbalized else {})
    assert allowed.is_valid(answer)
    assert contract.read(json.dumps(answer), "end_turn", None).status == "answered"
    no = {"refusal": {"class": "policy", "reason": "no"}}
    assert allowed.is_valid(no) == (refusal == "field")
    assert (contract.read(json.dumps(no), "end_turn", None).status == "refused") == (refusal == "field")
    assert not allowed.is_valid({})


@pytest.mark.parametrize("refusal", ["field", "none"])
def test_on_the_wire_an_answers_definitions_are_found_from_the_root(refusal: RefusalContract) -> None:
    schema = {"$defs": {"line": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/line"}}
    wire = Contract(schema=schema, refusal=refusal).wire_schema
    assert wire is not None
    check_schema(dict(wire))
    allowed = jsonschema.Draft202012Validator(dict(wire))
    assert [allowed.is_valid({"answer": lines}) for lines in ([1, 2], ["one"])] == [True, False]


def test_plain_text_has_no_schema_on_the_wire() -> None:
    assert Contract(refusal="token").wire_schema is None


@pytest.mark.parametrize(
    "schema",
    [
        True,
        [],
        "x",
        {"type": "strange"},
        {"pattern": "("},
        {"$ref": "#/$defs/nope"},
        {"anyOf": [{"$ref": "http://x/y"}]},
        {"items": {"$ref": "#"}},
        {"$anchor": "q", "not": {"$ref": "#q"}},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_beforehand(schema: Any) -> None:
    with pytest.raises(jsonschema.SchemaError):
        check_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        ORDER,
        {"$defs": {"a": {}}, "$ref": "#/$defs/a"},
        {"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "not": {"$ref": "#/$defs/a"}},
    ],
)
def test_a_schema_that_refers_only_to_itself_is_good(schema: Any) -> None:
    check_schema(schema)


def test_a_reference_that_leads_nowhere_makes_answers_invalid_and_raises_nothing() -> None:
    reading = Contract(schema={"$ref": "#/nope"}).read('{"answer": 1}', "end_turn", None)
    assert (reading.status, reading.error_type) == ("invalid", "schema")
