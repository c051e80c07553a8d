"""A panel's rubric: a TOML file with a few narrow questions, identified by a hash of its content."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from streams.core.errors import ConfigError
from streams.core.fingerprint import canonical, digest
from streams.pipeline.load import UNREADABLE
from streams.pipeline.values import Name, StrictTable

QuestionType = Literal["yes/no", "scale", "pick"]
MAX_QUESTIONS: Final = 5
Line = Annotated[str, Field(pattern=r"\S", max_length=500)]
"""A text with at least one visible character."""
Share = Annotated[float, Field(ge=0, le=0.5)]


@dataclass(frozen=True, slots=True)
class Choice:
    """One verdict that a rater can choose: its key on judgements, and the words that a rater reads."""

    key: str
    words: str


YES_NO: Final = (Choice("yes", "Yes"), Choice("no", "No"))
PICKS: Final = (Choice("A", "A"), Choice("B", "B"), Choice("tie", "Tie"), Choice("both bad", "Both bad"))
"""A and B are the left and the right answer as the rater sees them; a judgement holds the option instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a rubric. `yes/no` and `scale` ask about each shown answer, `pick` compares two."""

    name: str
    ask: str
    type: QuestionType
    choices: tuple[Choice, ...]
    explanation: str = ""
    """Further words for the rater, shown below the question."""
    means_right: str = ""
    """The verdict which means that the answer is right; empty if the question does not ask that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """The questions of a panel. `gold` and `repeats` are shares of the drawn cases, added to check the raters."""

    title: str
    instructions: str
    questions: tuple[Question, ...]
    gold: float
    repeats: float
    id: str
    """Hash of the content; comments and layout of the file do not change it."""
    text: str
    """The file as it was written."""

    @property
    def right_question(self) -> Question | None:
        """The question whose verdict says whether an answer is right; None if no question asks that."""
        return next((one for one in self.questions if one.means_right), None)


class QuestionTable(StrictTable):
    """The keys of one [[question]]."""

    name: Name
    ask: Line
    type: QuestionType
    explanation: str = Field("", max_length=1000)
    points: tuple[Line, ...] = ()
    means_right: str = ""

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "scale" and not 3 <= len(self.points) <= 5:
            raise ValueError(f"points: {len(self.points)} points; a scale has 3 to 5, each described in words")
        if len({" ".join(one.split()).casefold() for one in self.points}) != len(self.points):
            raise ValueError("points: two points have the same words; describe each differently")
        if self.type != "scale" and self.points:
            raise ValueError(f"points: only a scale has points; remove them, or write {_quoted('scale')} as the type")
        if self.means_right and self.type != "yes/no":
            raise ValueError(
                f"means_right: only a {_quoted('yes/no')} question says that an answer is right; remove it"
            )
        if self.means_right and self.means_right not in {one.key for one in YES_NO}:
            raise ValueError(
                f"means_right: {self.means_right!r:.50} is not a verdict; write {_quoted('yes')} or {_quoted('no')}"
            )
        return self


class RubricTable(StrictTable):
    """The keys of a rubric file."""

    title: Line
    instructions: str = Field("", max_length=5000)
    gold: Share = 0.1
    repeats: Share = 0.1
    question: tuple[QuestionTable, ...] = Field(min_length=1, max_length=MAX_QUESTIONS)

    @model_validator(mode="after")
    def _questions_differ(self) -> Self:
        names = [one.name for one in self.question]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"question: two questions are named {twice!r}; name each differently")
        if sum(bool(one.means_right) for one in self.question) > 1:
            raise ValueError("question: two questions have means_right; only one can decide that an answer is right")
        return self


def read_rubric(text: str) -> Rubric:
    """Read a rubric file's text. Raises ConfigError with the key at fault and the remedy for every mistake."""
    try:
        table = RubricTable.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise _config_error(error) from error
    except UNREADABLE as error:
        raise ConfigError(f"the rubric is not valid TOML: {error}.", "Fix the line named above.") from error
    questions = tuple(_question(one) for one in table.question)
    return Rubric(
        title=_flat(table.title),
        instructions=table.instructions.strip(),
        questions=questions,
        gold=table.gold,
        repeats=table.repeats,
        id=digest("rubric", canonical(_content(table))),
        text=text,
    )


def _question(table: QuestionTable) -> Question:
    points = tuple(Choice(str(number), _flat(words)) for number, words in enumerate(table.points, 1))
    choices: Mapping[QuestionType, tuple[Choice, ...]] = {"yes/no": YES_NO, "scale": points, "pick": PICKS}
    return Question(
        name=table.name,
        ask=_flat(table.ask),
        type=table.type,
        choices=choices[table.type],
        explanation=_flat(table.explanation),
        means_right=table.means_right,
    )


def _content(table: RubricTable) -> Any:
    """Return all that a rater reads or that changes the panel, without differences in white space."""
    return _flattened(table.model_dump(mode="json"))


def _flattened(value: Any) -> Any:
    if isinstance(value, str):
        return _flat(value)
    if isinstance(value, Mapping):
        return {name: _flattened(one) for name, one in value.items()}
    return [_flattened(one) for one in value] if isinstance(value, Sequence) else value


def _flat(text: str) -> str:
    return " ".join(text.split())


_KEYS: Final = {*RubricTable.model_fields, *QuestionTable.model_fields}
_REMEDIES: Final[Mapping[str, str]] = {
    "title": "Write a title of one line, for example \"Answers of the support desk\".",
    "instructions": "Write a text for the raters, at most 5000 characters.",
    "gold": "Write a share from 0 to 0.5, for example 0.1.",
    "repeats": "Write a share from 0 to 0.5, for example 0.1.",
    "question": f"Write 1 to {MAX_QUESTIONS} tables [[question]]: people answer a few narrow questions best.",
    "name": "Write a short name in lower case, for example \"right\".",
    "ask": "Write the question as one sentence of at most 500 characters.",
    "type": "Write \"yes/no\", \"scale\" or \"pick\".",
    "explanation": "Write a text of at most 1000 characters, or remove it.",
    "points": "Write 3 to 5 texts in brackets, from the worst to the best.",
    "means_right": "Write \"yes\" or \"no\".",
}  # fmt: skip


def _config_error(error: ValidationError) -> ConfigError:
    """Return all of pydantic's findings as one error; the first one gives its key."""
    found = error.errors(include_url=False)
    # With every question wrong, none is left, which pydantic reports as well.
    problems = [_problem(item) for item in found if len(found) == 1 or item["type"] != "too_short"]
    first = problems[0]
    return ConfigError(first.what, "\n".join([first.remedy, *map(str, problems[1:])]), first.key)


def _problem(item: Any) -> ConfigError:
    location = list(item["loc"])
    what, remedy = str(item["msg"]).removeprefix("Value error, "), ""
    if item["type"] == "value_error":  # raised above as "key: what; remedy"
        own, _, what = what.partition(": ")
        what, _, remedy = what.partition("; ")
        location = location if own in location else [*location, own]
        return ConfigError(f"{what}.", f"{remedy[:1].upper()}{remedy[1:]}.", _key(location))
    named = [part for part in location if isinstance(part, str)]
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(named[-1], _KEYS, n=1)
        listed = f"Remove it; the keys are {', '.join(sorted(_KEYS))}."
        return ConfigError("unknown key.", f"Did you mean {near[0]!r}?" if near else listed, _key(location))
    if item["type"] == "missing":
        what = "is missing"
    elif item["type"] in ("too_short", "too_long"):
        what = "it is empty" if item["type"] == "too_short" else f"there are more than {MAX_QUESTIONS} questions"
    elif isinstance(item["input"], (str, int, float)):
        what = f"{item['input']!r:.60} is not valid"
    return ConfigError(f"{what}.", _REMEDIES.get(named[-1] if named else "", "Add it."), _key(location))


def _key(location: Sequence[str | int]) -> str:
    """Write a key's place with questions counted from 1, for example question[2].ask."""
    found = ""
    for part in location:
        found += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if found else part
    return found


def _quoted(word: str) -> str:
    return f'"{word}"'
