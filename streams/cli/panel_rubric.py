"""escalon panel rubric check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.commands import new_app
from streams.cli.console import out, print_json
from streams.cli.options import JsonOption
from streams.core.errors import ConfigError

if TYPE_CHECKING:
    from streams.panels.rubric import Question, Rubric

rubric = new_app("Check a rubric, and show the questions as a rater will be asked.")


@rubric.callback()
def group() -> None:
    """Work on a rubric file."""


@rubric.command(epilog="Example: escalon panel rubric check rubric.toml")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The rubric, a TOML file.")],
    as_json: JsonOption = False,
) -> None:
    """Check a rubric file and print what a rater will be asked."""
    found = rubric_file(file)
    if as_json:
        print_json(_document(found))
    else:
        _print(found)


def rubric_file(path: Path) -> Rubric:
    """Read a rubric file. Raises ConfigError if it cannot be read or has a mistake."""
    from streams.panels.rubric import read_rubric

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read ({why}).", "Name a rubric file in TOML.", "rubric") from error
    return read_rubric(text)


def _document(found: Rubric) -> dict[str, object]:
    return {
        "id": found.id,
        "title": found.title,
        "gold": found.gold,
        "repeats": found.repeats,
        "questions": [
            {
                "name": one.name,
                "ask": one.ask,
                "type": one.type,
                "choices": {choice.key: choice.words for choice in one.choices},
                "means_right": one.means_right,
            }
            for one in found.questions
        ],
    }


def _print(found: Rubric) -> None:
    out.print(found.title, style="bold", markup=False, highlight=False)
    if found.instructions:
        out.print(found.instructions, markup=False, highlight=False)
    for number, question in enumerate(found.questions, 1):
        _print_question(number, question)
    shares = f"{found.gold:.0%} gold cases and {found.repeats:.0%} repeats are added to check the raters."
    out.print(f"\n{shares}", highlight=False)
    if found.right_question is None:
        warning = (
            "No question has means_right, so the panel cannot say how many answers are right, and has no gold cases."
        )
        out.print(warning, style="yellow", highlight=False)
    out.print(f"The rubric is valid, id {found.id}.", highlight=False)


def _print_question(number: int, question: Question) -> None:
    about = "compares the two answers" if question.type == "pick" else "for each answer"
    out.print(f"\n{number}. {question.ask}  ({question.name}, {about})", markup=False, highlight=False)
    if question.explanation:
        out.print(f"   {question.explanation}", style="dim", markup=False, highlight=False)
    for choice in question.choices:
        right = "  = the answer is right" if choice.key == question.means_right else ""
        key = f"{choice.key}  " if question.type == "scale" else ""
        out.print(f"   ( ) {key}{choice.words}{right}", markup=False, highlight=False)
