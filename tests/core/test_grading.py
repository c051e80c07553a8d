"""An answer is right, wrong, or cannot be compared."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from streams.core.answer_comparison import Comparison
from streams.core.grading import Grader, Markers

ORDER = {
    "type": "object",
    "properties": {"number": {"type": "string", "enum": ["7", "8"]}, "shop": {"$ref": "#/$defs/shop"}},
    "required": ["number"],
    "additionalProperties": False,
    "$defs": {"shop": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}},
}
EITHER = {"anyOf": [{"type": "string"}, {"type": "null"}]}


def grade(answer: Any, label: Any, schema: Any = None, rule: Comparison | None = None, **more: Any) -> str:
    validator = None if schema is None else jsonschema.Draft202012Validator(schema)
    grader = Grader(agree=rule or Comparison(), schema=validator, **more)
    said = answer if isinstance(answer, str) and schema is None else json.dumps(answer)
    return grader(said, label if isinstance(label, str) else json.dumps(label))


@pytest.mark.parametrize(
    ("answer", "label", "found"),
    [
        ({"number": "7"}, {"number": "7"}, "right"),
        ({"number": "7"}, {"number": "8"}, "wrong"),
        ({"number": "7"}, {"number": "9"}, "wrong"),  # what the schema does not allow may be true all the same
        ({"number": "7"}, {"number": "7", "shop": {"id": 1}}, "wrong"),  # a field that may be left out
        ({"number": "7"}, {"number": 7}, "misfit"),
        ({"number": "7"}, {"nummer": "7"}, "misfit"),
        ({"number": "7"}, {"number": "7", "note": "x"}, "misfit"),
        ({"number": "7"}, {"shop": {"id": 1}}, "misfit"),
        ({"number": "7", "shop": {"id": 1}}, {"number": "7", "shop": {"name": "x"}}, "misfit"),
        ({"number": "7"}, "seven", "misfit"),
        ({"number": "7"}, [7], "misfit"),
    ],
)
def test_a_label_fits_if_the_schema_has_a_place_for_all_of_it(answer: Any, label: Any, found: str) -> None:
    assert grade(answer, label, ORDER) == found


@pytest.mark.parametrize(("label", "found"), [("x", "right"), ("y", "wrong"), ({"a": 1}, "misfit"), ("7", "wrong")])
def test_of_several_shapes_one_is_enough(label: Any, found: str) -> None:
    assert grade("x", label, EITHER) == found


@pytest.mark.parametrize(
    ("answer", "label", "plain", "found"),
    [
        ("From nine.", "From nine.", True, "right"),
        ("From nine.", "From ten.", True, "wrong"),
        ("12", "12.0", True, "right"),
        ("From nine.", {"answer": "From nine."}, True, "misfit"),
        ('{"a": 1}', "From nine.", True, "wrong"),  # text may look like anything
        ('{"a": 1}', "From nine.", False, "misfit"),
        ('{"a": 1}', {"b": 1}, False, "misfit"),
        ('{"a": 1}', {"a": 1, "b": 1}, False, "wrong"),
    ],
)
def test_without_a_schema_a_label_must_be_of_the_answers_kind(answer: str, label: Any, plain: bool, found: str) -> None:
    assert grade(answer, label, plain=plain) == found


def test_a_number_typed_without_quotes_is_the_text_that_it_reads() -> None:
    assert grade({"number": "7"}, "7", rule=Comparison("fields", ("number",))) == "right"
    assert grade("7", "7", {"type": "string"}) == "right"
    assert grade(True, "true", {"type": "string"}) == "right"


@pytest.mark.parametrize(
    "marker", ["[phone]", "call [email] now", "[redaction failed]", "[ticket]", ["x", "[key]"], {"[ip]": 1}]
)
def test_where_a_part_is_hidden_nothing_is_known(marker: Any) -> None:
    markers = Markers.of(["ticket"])
    said = marker if isinstance(marker, str) else json.dumps(marker)
    assert Grader(agree=Comparison(), markers=markers)(said, said) == "hidden"
    assert Grader(agree=Comparison(), markers=markers)(said, "x") == "hidden"
    assert Grader(agree=Comparison(), markers=markers)("x", said) == "hidden"
    assert Grader(agree=lambda *_: True, markers=markers)(said, "x") == "hidden"


@pytest.mark.parametrize("text", ["[1]", "see [Smith 2020]", "[x]", "a[i]", "[phones]", "phone", "[]"])
def test_other_brackets_hide_nothing(text: str) -> None:
    assert Grader(agree=Comparison())(text, text) == "right"


def test_a_function_may_leave_any_name() -> None:
    assert Grader(agree=Comparison(), markers=Markers.of(any_name=True))("[customer name]", "Ann") == "hidden"


def test_the_fields_that_do_not_count_may_be_hidden() -> None:
    rule = Comparison("fields", ("a",))
    assert grade({"a": 1, "b": "[phone]"}, {"a": 1}, rule=rule) == "right"
    assert grade({"a": 1, "b": "[phone]"}, {"a": 2}, rule=rule) == "wrong"
    assert grade({"a": "[phone]"}, {"a": "[phone]"}, rule=rule) == "hidden"


TEXT = {"type": "string"}
ONE, TWO = Comparison("fields", ("number",)), Comparison("fields", ("number", "shop"))


@pytest.mark.parametrize(
    ("label", "schema", "rule", "fault"),
    [
        ({"number": "9"}, ORDER, Comparison(), ""),
        ({"nubmer": "9"}, ORDER, Comparison(), "there is no field 'nubmer'; is 'number' meant?"),
        ("seven", ORDER, Comparison(), "$: 'seven' is not of type 'object'"),
        ({"number": "9"}, TEXT, Comparison(), "$: {'number': '9'} is not of type 'string'"),
        ({"nubmer": "9"}, ORDER, ONE, "the label has no field 'number'; is 'nubmer' meant?"),
        ("seven", ORDER, ONE, ""),
        ("seven", ORDER, TWO, "it is a plain value, not an object with number, shop"),
        ("seven 7", None, Comparison("numeric"), ""),
        ("none at all", None, Comparison("numeric"), "there is no number in it"),
        ({"any": "shape"}, None, Comparison(), ""),
    ],
)
def test_a_label_that_no_answer_could_agree_with_has_a_fault_before_there_is_an_answer(
    label: Any, schema: Any, rule: Comparison, fault: str
) -> None:
    validator = None if schema is None else jsonschema.Draft202012Validator(schema)
    assert Grader(agree=rule, schema=validator).label_fault(json.dumps(label)) == fault


def test_a_function_may_compare_any_label_and_text_only_text() -> None:
    assert Grader(agree=lambda _, __: False).label_fault('{"any": "shape"}') == ""
    text = Grader(agree=Comparison(), plain=True)
    assert (text.label_fault('"a text"'), text.label_fault("[1]")) == ("", "it is a list, and answers are text")
