"""The form of a case page: which questions are asked about which answer, and the names of the form's fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streams.panels.rubric import Question, QuestionType

Side = Literal["A", "B"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One choice that a rater makes: a question about one side, or a comparison of both."""

    name: str
    """The field's name in the form."""
    question: Question
    side: Side | None
    """None for a question of type `pick`."""


def form_fields(questions: Sequence[Question], sides: Sequence[Side]) -> tuple[FormField, ...]:
    """Return the fields in the order in which a page asks them.

    A question of type `pick` is asked once, and only if two answers are shown; any other one about each answer.
    """
    found: list[FormField] = []
    for number, question in enumerate(questions):
        if question.type != "pick":
            found += [FormField(name=f"q{number}{side}", question=question, side=side) for side in sides]
        elif len(sides) == 2:
            found.append(FormField(name=f"q{number}", question=question, side=None))
    return tuple(found)


def read_verdicts(form: Mapping[str, object], fields: Sequence[FormField]) -> dict[str, str]:
    """Return the chosen key by field name. A field without a valid choice is missing from the result."""
    return {
        field.name: str(form[field.name])
        for field in fields
        if field.name in form and form[field.name] in {choice.key for choice in field.question.choices}
    }


def key_of(question_type: QuestionType, choice: str) -> str:
    """Return the key of the keyboard that makes a choice: a digit for a point, else a letter in lower case."""
    keys = {"yes": "y", "no": "n", "A": "a", "B": "b", "tie": "t", "both bad": "x"}
    return choice if question_type == "scale" else keys[choice]


def words_of(question: Question, key: str) -> str:
    """Return the words of a choice."""
    return next(choice.words for choice in question.choices if choice.key == key)
