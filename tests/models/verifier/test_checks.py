from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.models.verifier.arithmetic import MAX_EQUATIONS, equations
from streams.models.verifier.checks import NAMES, check_features
from streams.models.verifier.expressions import MAX_TEXT, evaluate, numbers, tokens
from streams.models.verifier.quantities import quantities
from streams.models.verifier.text_features import NAMES as TEXT_NAMES
from streams.models.verifier.text_features import text_features

TASK = "Mia buys 4 crates of 12 bottles. She drinks 6 bottles. How many bottles are left?"
RIGHT = "Mia buys 4 x 12 = 48 bottles.\nAfter drinking, 48 - 6 = 42 bottles are left.\n42"

SUMS = st.recursive(
    st.integers(0, 50).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({''.join(parts)})"),
    max_leaves=8,
)
ODD = st.text(st.sampled_from("0123456789.,+-*/=()<>%$ x\n{}[]\"'^aB!?½٣π\ud800"), max_size=200)


def checked(answer: str | None, task: str = TASK) -> dict[str, float]:
    return check_features(task, {}, answer)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", 14.0),
        ("(2 + 3) * 4", 20.0),
        ("12 / 4 / 3", 1.0),
        ("7 - 2 - 1", 4.0),
        ("-3 + 5", 2.0),
        ("2 * -3", -6.0),
        ("50% * 8", 4.0),
        ("$1,200.50 ÷ 2", 600.25),
        ("2 ^ 3", 8.0),
        (".5 × 4", 2.0),
    ],
)
def test_an_expression_has_its_value_by_operator_precedence(expression: str, value: float) -> None:
    assert evaluate(tokens(expression)) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression", ["", "1 / 0", "9^9^9^9", "2 +", "3 4", "(1", "1)", "()", "5 % %%(", "a + 1", "(-2)^0.5"]
)
def test_a_broken_or_too_large_expression_has_no_value(expression: str) -> None:
    assert evaluate(tokens(expression)) is None


@given(SUMS)
def test_any_sum_is_worth_what_python_makes_of_it(expression: str) -> None:
    value = eval(expression)  # noqa: S307 - the text is generated above
    found = evaluate(tokens(expression))
    assert found is None if abs(value) > 1e15 else found == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "3 x 60 = 180 metres",
        "20 silver coins + 70 gold coins = 90 coins",
        "12 crates/day x 7 days = 84 crates",
        "50 (by bus) + 25 (on foot) = 75",
        "that is 30% of 50 = 15",
        "2*(20 + 15) = 2*35 = 70",
        "1/3 = 0.33",
        "15 + 1,000 = $1,015.00",
        "3 times 4 equals 12",
        "7 \\* 8 = 56",
        "20 / 80 = 25%",
        "2,000 / 3 = 667",
    ],
)
def test_a_right_equation_is_found_in_running_text_and_holds(text: str) -> None:
    found = equations(text)
    assert found
    assert all(equation.holds for equation in found)


@pytest.mark.parametrize(
    "text", ["3 x 60 = 190", "(3 + 5) * 7 = 63", "100 - 5 = 85 apples", "50 * 80 = 4001", "1/3 = 0.43"]
)
def test_a_wrong_equation_is_found_and_does_not_hold(text: str) -> None:
    assert [equation.holds for equation in equations(text)] == [False]


@pytest.mark.parametrize(
    "text", ["x + 2x = 12", "4 feet = 48 inches", "no figures here", "= 4", "a = b + c", "7x = 21"]
)
def test_definitions_and_unknowns_are_not_recomputed(text: str) -> None:
    assert equations(text) == []


def test_an_annotation_is_one_more_equation_and_does_not_hide_the_one_around_it() -> None:
    inner, outer = equations("so 3 x 60 = <<3*60=170>>180")
    assert (inner.holds, outer.holds) == (False, True)


def test_thousands_separators_are_part_of_a_number_and_other_commas_are_not() -> None:
    assert numbers("1,234,567.5 and 12,34 and 5") == [1234567.5, 12.0, 34.0, 5.0]


def test_numbers_in_words_count_as_quantities() -> None:
    assert quantities("Twice a dozen, or 24") == [24.0, 2.0, 12.0]


def test_the_features_are_the_documented_names_in_order() -> None:
    assert tuple(checked(RIGHT)) == NAMES
    assert tuple(checked(None)) == NAMES
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("answer", [None, "", "  \n "])
def test_without_an_answer_nothing_is_known_but_that(answer: str | None) -> None:
    found = checked(answer)
    assert found.pop("answered") == 0.0
    assert all(math.isnan(value) for value in found.values())


def test_a_sound_answer_passes_every_check() -> None:
    found = checked(RIGHT)
    assert found["equations"] == 2
    assert {name: found[name] for name in ("broken", "unused", "unsupported", "dangling_results", "cut")} == {
        "broken": 0, "unused": 0, "unsupported": 0, "dangling_results": 1, "cut": 0,
    }  # fmt: skip
    assert found["final_last_result"] == found["final_whole"] == found["used_share"] == 1.0
    assert found["reused_results"] == 1


@pytest.mark.parametrize(
    ("answer", "name", "value"),
    [
        ("4 x 12 = 49. 49 - 6 = 43", "broken", 1),
        ("4 x 12 = 49. 49 - 6 = 43", "first_broken", 1.0),
        ("4 x 12 = 48. 48 - 6 = 43", "last_broken", 1.0),
        ("4 x 12 = 2880", "unit_slips", 1),
        ("50 / 12 = 4", "whole_slips", 1),
        ("4 x 12 = 48", "unused", 1),
        ("4 x 17 = 68", "unsupported", 1),
        ("4 x 12 = 48. 48 - 6 = 42. So 41.", "final_last_result", 0.0),
        ("4 x 12 = 48. 48 - 6 = 42. So 42.", "final_last_result", 1.0),
        ("In all -6", "final_negative", 1.0),
        ("It is 10.5", "final_whole", 0.0),
        ("4 x 12 = (48", "ends_open", 1.0),
        ("She has 4 x", "ends_operator", 1.0),
        ("She has 40,00", "ends_group", 1.0),
        ("She has 40,000", "cut", 0.0),
        ("Bottles. Bottles. 42", "repeated", 1),
        ("Perhaps 42, it is not clear.", "hedges", 2),
        ("Wait, that is a mistake.", "corrections", 2),
        ("Four times 12 + 6", "cue_minus", 1.0),
        ('She said "4 crates of  12 bottles" and "never"', "quoted_share", 0.5),
    ],
)
def test_each_flaw_shows_in_its_feature(answer: str, name: str, value: float) -> None:
    assert checked(answer)[name] == pytest.approx(value)


def test_percentages_of_the_tasks_numbers_are_supported() -> None:
    assert checked("50 * 0.8 = 40", "20% off 50 apples")["unsupported"] == 0
    assert checked("50 * 0.7 = 35", "20% off 50 apples")["unsupported"] == 1


def test_a_quotation_may_come_from_a_field_of_the_data() -> None:
    assert check_features("Who?", {"letter": "signed by Ada"}, 'It is "by ada".')["quoted_share"] == 1.0
    assert check_features("Who?", {"letter": 7}, 'It is "by ada".')["quoted_share"] == 0.0


@settings(deadline=None)
@given(st.one_of(st.text(max_size=300), ODD), st.one_of(st.text(max_size=300), ODD))
def test_no_text_makes_the_checks_raise_or_give_what_is_not_finite(task: str, answer: str) -> None:
    found = check_features(task, {"note": task}, answer)
    assert tuple(found) == NAMES
    assert found["answered"] == 0.0 or all(map(math.isfinite, found.values()))
    shape = text_features(task)
    assert tuple(shape) == TEXT_NAMES
    assert all(map(math.isfinite, shape.values()))


@pytest.mark.parametrize(
    "piece", ["1+", "1=", "(", "9", "1,", "(1+1)=", "1.1", "x=1 ", '"a', "<<1=1>>", "2 a ", "2**9=", "A. b\n"]
)
def test_long_texts_are_cut_so_that_their_rest_changes_nothing(piece: str) -> None:
    long = piece * (MAX_TEXT // len(piece) + 1)
    assert checked(long, long) == pytest.approx(checked(long[:MAX_TEXT], long + piece), nan_ok=True)
    assert len(equations(long)) <= MAX_EQUATIONS
    assert text_features(long[:MAX_TEXT]) == text_features(long + piece)


def test_options_and_stem_of_a_question_are_separated() -> None:
    found = text_features("Which is NOT a metal?\nA. Iron\nB. Oxygen gas\nC. Iron 2\nD. All of the above\nAnswer:")
    assert (found["options"], found["stem_question"], found["negations"]) == (4.0, 1.0, 1.0)
    assert (found["option_all_none"], found["option_figures"], found["option_same_start"]) == (1.0, 0.25, 1.0)
    assert text_features("Which is a metal?")["options"] == 0.0
