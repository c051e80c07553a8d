"""Finds arithmetic in running text and recomputes the value of each side of an `=`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from streams.models.verifier.expressions import MAX_TEXT, ExpressionToken, evaluate, tokens

MAX_EQUATIONS = 200
"""Equations that are read in a text."""
MAX_TOKENS = 60
"""Tokens on one side of an `=`; a longer side is cut at its outer end."""
_UNIT_WORDS = 6
"""Words allowed between a number and the operator after it, as in `20 silver coins + 70`."""

_ANNOTATION = re.compile(r"<<([^<>\n]{0,200})>>")
_WORD_OPERATORS = {"x": "*", "times": "*", "plus": "+", "minus": "-"}


@dataclass(frozen=True, slots=True)
class Equation:
    """One `=` between two sides that both have a value; at least one of them contains an operator."""

    left: float
    right: float
    operands: tuple[float, ...]
    operators: str
    right_text: str
    percent: bool

    @property
    def error(self) -> float:
        """|left - right| over the larger of the two, 0 to 2; 0 when both are 0."""
        scale = max(abs(self.left), abs(self.right))
        return abs(self.left - self.right) / scale if scale else 0.0

    @property
    def holds(self) -> bool:
        """True when the sides agree: exactly, to the decimals the right side shows, or within 0.5 % of a fraction.

        A whole number must be met exactly, and a percentage may be written as 20 or as 0.2.
        """
        if math.isclose(self.left, self.right, rel_tol=1e-9, abs_tol=1e-9):
            return True
        decimals = len(self.right_text.partition(".")[2])
        rounded = decimals > 0 and abs(self.left - self.right) <= 0.5 * 10.0**-decimals + 1e-9
        fraction = self.left != round(self.left) and self.error <= 5e-3
        return rounded or fraction or (self.percent and self._off_by_hundred())

    def _off_by_hundred(self) -> bool:
        return any(math.isclose(self.left * factor, self.right, rel_tol=5e-3) for factor in (100.0, 0.01))


def equations(text: str) -> list[Equation]:
    """Return the first MAX_EQUATIONS equations of a text; an annotation `<<3*60=180>>` is one more equation.

    Units between the numbers, currency signs and operators in words are understood; equations with unknowns are left
    out. Never raises.
    """
    return list(islice(_equations(text[:MAX_TEXT]), MAX_EQUATIONS))


def _equations(text: str) -> Iterator[Equation]:
    for line in text.split("\n"):
        for inside in _ANNOTATION.findall(line):
            yield from _line_equations(inside)
        yield from _line_equations(_ANNOTATION.sub("", line))


def _line_equations(line: str) -> Iterator[Equation]:
    if "=" not in line and "≈" not in line and "equals" not in line:
        return
    run: list[ExpressionToken] = []
    for token in [*without_units(tokens(line)), ExpressionToken("stop", "")]:
        if token.kind in ("word", "stop"):
            yield from _chain(run)
            run = []
        else:
            run.append(token)


def without_units(found: Sequence[ExpressionToken]) -> list[ExpressionToken]:
    """Return the tokens without units (`12 miles/hour * 3 hours`) and with operators for words (`3 times 4`)."""
    kept: list[ExpressionToken] = []
    place = 0
    while place < len(found):
        token = found[place]
        if kept and kept[-1].kind in ("number", "percent", "close"):
            operator, used = _after_operand(found, place, kept)
            if used:
                kept += operator
                place += used
                continue
        kept.append(token)
        place += 1
    return kept


def _after_operand(
    found: Sequence[ExpressionToken], place: int, kept: Sequence[ExpressionToken]
) -> tuple[list[ExpressionToken], int]:
    """Return the replacement of the words after an operand and the number of tokens replaced; 0 for no unit."""
    for ahead in range(place, min(place + _UNIT_WORDS + 1, len(found))):
        token, following = found[ahead], found[ahead + 1].kind if ahead + 1 < len(found) else "stop"
        if token.kind == "word":
            word = token.text.lower()
            if following in ("number", "open"):
                if word == "of" and (kept[-1].kind == "percent" or _is_fraction(kept)):
                    return [ExpressionToken("operator", "*")], ahead + 1 - place
                if word in _WORD_OPERATORS:
                    return [ExpressionToken("operator", _WORD_OPERATORS[word])], ahead + 1 - place
            continue
        if token.kind == "operator" and token.text in "-/" and following == "word":
            continue
        if token.kind in ("operator", "equals", "close", "percent"):
            return [], ahead - place
        return [], 0
    return [], 0


def _is_fraction(kept: Sequence[ExpressionToken]) -> bool:
    return [token.kind for token in kept[-3:]] == ["number", "operator", "number"] and kept[-2].text == "/"


def _chain(run: Sequence[ExpressionToken]) -> Iterator[Equation]:
    """Return the equations of `a = b = c`, side by side."""
    sides: list[list[ExpressionToken]] = [[]]
    for token in run:
        if token.kind == "equals":
            sides.append([])
        else:
            sides[-1].append(token)
    for left, right in pairwise(sides):
        near, far = left[-MAX_TOKENS:], right[:MAX_TOKENS]
        ending = _valued(near[start:] for start in range(len(near)))
        beginning = _valued(far[:end] for end in range(len(far), 0, -1))
        if ending and beginning and (_operators(ending[1]) or _operators(beginning[1])):
            yield _equation(*ending, *beginning)


def _valued(candidates: Iterator[Sequence[ExpressionToken]]) -> tuple[float, Sequence[ExpressionToken]] | None:
    """Return the first candidate that has a value, with it: text around an expression may look like a part of it."""
    return next(((value, side) for side in candidates if (value := evaluate(side)) is not None), None)


def _equation(
    left: float, ending: Sequence[ExpressionToken], right: float, beginning: Sequence[ExpressionToken]
) -> Equation:
    return Equation(
        left,
        right,
        tuple(token.value for token in ending if token.kind == "number"),
        _operators(ending),
        beginning[0].text if len(beginning) == 1 else "",
        any(token.kind == "percent" for token in (*ending, *beginning)),
    )


def _operators(side: Sequence[ExpressionToken]) -> str:
    return "".join(token.text[0] for token in side if token.kind == "operator")
