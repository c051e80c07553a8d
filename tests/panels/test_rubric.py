"""Rubrics: reading, identity, and the words about mistakes."""

from __future__ import annotations

import pytest

from streams.core.errors import ConfigError
from streams.panels.rubric import read_rubric

RUBRIC = """
title = "Answers of the shop"
instructions = "Read the customer's words first."
gold = 0.2

[[question]]
name = "right"
ask = "Is the answer right?"
type = "yes/no"
means_right = "yes"

[[question]]
name = "tone"
ask = "Is it polite?"
type = "scale"
points = ["rude", "neutral", "kind"]

[[question]]
name = "better"
ask = "Which answer would you send?"
type = "pick"
"""


def test_a_rubric_is_read_with_its_questions_and_choices() -> None:
    rubric = read_rubric(RUBRIC)
    right, tone, better = rubric.questions
    assert (rubric.title, rubric.gold, rubric.repeats) == ("Answers of the shop", 0.2, 0.1)
    assert [one.key for one in right.choices] == ["yes", "no"]
    assert [(one.key, one.words) for one in tone.choices] == [("1", "rude"), ("2", "neutral"), ("3", "kind")]
    assert [one.key for one in better.choices] == ["A", "B", "tie", "both bad"]
    assert rubric.right_question == right


def test_a_new_layout_keeps_the_id() -> None:
    other = RUBRIC.replace('type = "pick"', 'type  =  "pick" # one of two').replace("gold = 0.2\n", "")
    other = "gold = 2e-1\nrepeats = 0.1\n" + other.replace("Is it polite?", " Is it  polite?")
    assert read_rubric(other).id == read_rubric(RUBRIC).id


@pytest.mark.parametrize(
    ("old", "new"),
    [("polite", "friendly"), ('"neutral"', '"so so"'), ("gold = 0.2", "gold = 0.3"), ('"tone"', '"manner"'),
     ('means_right = "yes"', 'means_right = "no"'), ("first.", "twice.")],
)  # fmt: skip
def test_other_content_changes_the_id(old: str, new: str) -> None:
    assert read_rubric(RUBRIC.replace(old, new)).id != read_rubric(RUBRIC).id


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("gold", "golden", "golden", "Did you mean 'gold'?"),
        ("gold = 0.2", "gold = 2", "gold", "a share from 0 to 0.5"),
        ('title = "Answers of the shop"', "", "title", "is missing"),
        ('title = "Answers of the shop"', 'title = " "', "title", "a title of one line"),
        ('ask = "Is it polite?"', "", "question[2].ask", "is missing"),
        ('type = "scale"', 'type = "stars"', "question[2].type", '"yes/no", "scale" or "pick"'),
        ('["rude", "neutral", "kind"]', '["rude", "kind"]', "question[2].points", "A scale has 3 to 5"),
        ('["rude", "neutral", "kind"]', '["rude", "Rude", "kind"]', "question[2].points", "the same words"),
        ('type = "pick"', 'type = "pick"\npoints = ["a", "b", "c"]', "question[3].points", "only a scale"),
        ('means_right = "yes"', 'means_right = "1"', "question[1].means_right", 'Write "yes" or "no"'),
        ('type = "pick"', 'type = "pick"\nmeans_right = "yes"', "question[3].means_right", "only a"),
        ('name = "tone"', 'name = "right"', "question", "two questions are named 'right'"),
        ('name = "tone"', 'name = "Tone!"', "question[2].name", "lower case"),
        ('type = "pick"', 'type = "yes/no"\nmeans_right = "no"', "question", "Only one can decide"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_key_and_the_remedy(old: str, new: str, key: str, said: str) -> None:
    assert old in RUBRIC
    with pytest.raises(ConfigError) as error:
        read_rubric(RUBRIC.replace(old, new))
    assert error.value.key == key
    assert said in str(error.value)
    assert error.value.remedy


def test_all_mistakes_are_reported_at_once() -> None:
    text = 'title = "T"\ngold = 3\n[[question]]\nname = "A b"\nask = ""\ntype = "scale"\n'
    with pytest.raises(ConfigError) as error:
        read_rubric(text)
    assert str(error.value).splitlines() == [
        "gold: 3 is not valid. Write a share from 0 to 0.5, for example 0.1.",
        "question[1].name: 'A b' is not valid. Write a short name in lower case, for example \"right\".",
        "question[1].ask: '' is not valid. Write the question as one sentence of at most 500 characters.",
    ]


def test_more_than_five_questions_are_refused() -> None:
    more = "".join(f'[[question]]\nname = "q{n}"\nask = "Why?"\ntype = "yes/no"\n' for n in range(3))
    with pytest.raises(ConfigError, match=r"more than 5 questions\. Write 1 to 5 .* a few narrow questions") as error:
        read_rubric(RUBRIC + more)
    assert error.value.key == "question"


@pytest.mark.parametrize("text", ["title = ", "a" * 100, "question = 1", "\x00", "title = 1\n[[question]]\nname = 1"])
def test_no_text_ends_in_another_error(text: str) -> None:
    with pytest.raises(ConfigError):
        read_rubric(text)
