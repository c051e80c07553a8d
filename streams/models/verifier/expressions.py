"""Tokens of arithmetic expressions in text, and their value by operator precedence.

Nothing is executed: text becomes tokens, tokens become numbers. All work is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_TEXT = 10_000
"""Characters of a text that are read."""
MAX_EXPONENT = 32.0
_LARGEST = 1e15

NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_TOKEN = re.compile(
    r"(?P<symbol>\d[\d.,]{0,20}[^\W\d_]+)|"
    rf"(?P<number>{NUMBER.pattern})|(?P<word>[^\W\d_]+(?:['’]\w+)?)|(?P<mark>\*\*|[-+*/^()=%\n.,;:?!|])"
)
_ASIDE = re.compile(r"\([^()\d]{0,60}\)")
_MARKS = str.maketrans(
    {"×": "*", "·": "*", "∙": "*", "÷": "/", "−": "-", "–": "-", "≈": "=", "{": "(", "}": ")", "[": "(", "]": ")"}
    | dict.fromkeys("$£€¥\\_`", "")
)
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "~": 3, "^": 4, "**": 4}
_KINDS = {"(": "open", ")": "close", "%": "percent", "=": "equals"}


@dataclass(frozen=True, slots=True)
class ExpressionToken:
    """`kind` is number, symbol (`3x`), operator, open, close, percent, equals, word or stop.

    `value` is that of a number.
    """

    kind: str
    text: str
    value: float = 0.0


def numbers(text: str) -> list[float]:
    """Return the unsigned numbers written in digits, in order; thousands separators are understood."""
    return [_value(found) for found in NUMBER.findall(text[:MAX_TEXT])]


def tokens(text: str) -> list[ExpressionToken]:
    """Return the tokens of a text, without asides in brackets that contain no digit."""
    return [_token(match) for match in _TOKEN.finditer(_ASIDE.sub(" ", text.translate(_MARKS)))]


def _token(match: re.Match[str]) -> ExpressionToken:
    text = match[0]
    if match["number"]:
        return ExpressionToken("number", text, _value(text))
    if match["symbol"]:
        return ExpressionToken("symbol", text)
    if match["word"]:
        return ExpressionToken("equals", "=") if text == "equals" else ExpressionToken("word", text)
    return ExpressionToken("operator" if text in _PRECEDENCE else _KINDS.get(text, "stop"), text)


def _value(digits: str) -> float:
    return min(float(digits.replace(",", "")), _LARGEST)


def evaluate(expression: Sequence[ExpressionToken]) -> float | None:
    """Return the value of an expression by operator precedence, None when it is malformed, too large or divides by 0.

    Dijkstra 1961, the shunting-yard algorithm; `~` is the sign of a number.
    """
    values: list[float] = []
    waiting: list[str] = []
    operand_next = True
    try:
        for token in expression:
            operand_next = _shift(token, operand_next, values, waiting)
        while waiting:
            _apply(waiting.pop(), values)
    except (ValueError, IndexError, ArithmeticError):
        return None
    return values[0] if len(values) == 1 and not operand_next and abs(values[0]) <= _LARGEST else None


def _shift(token: ExpressionToken, operand_next: bool, values: list[float], waiting: list[str]) -> bool:
    """Take one token; return True if an operand must follow. Raises ValueError for a token in a wrong place."""
    if operand_next:
        return _shift_operand(token, values, waiting)
    if token.kind == "percent":
        values[-1] /= 100.0
        return False
    if token.kind == "close":
        while waiting[-1] != "(":
            _apply(waiting.pop(), values)
        waiting.pop()
        return False
    if token.kind != "operator":
        raise ValueError
    while waiting and waiting[-1] != "(" and _PRECEDENCE[waiting[-1]] >= _PRECEDENCE[token.text]:
        _apply(waiting.pop(), values)
    waiting.append(token.text)
    return True


def _shift_operand(token: ExpressionToken, values: list[float], waiting: list[str]) -> bool:
    if token.kind == "number":
        values.append(token.value)
        return False
    if token.kind == "open":
        waiting.append("(")
    elif token.text == "-":
        waiting.append("~")
    elif token.text != "+":
        raise ValueError
    return True


def _apply(operator: str, values: list[float]) -> None:
    right = values.pop()
    if operator == "~":
        values.append(-right)
        return
    left = values.pop()
    if operator == "+":
        values.append(left + right)
    elif operator == "-":
        values.append(left - right)
    elif operator == "*":
        values.append(left * right)
    elif operator == "/":
        values.append(left / right)
    elif operator == "(" or abs(right) > MAX_EXPONENT or left < 0:
        raise ValueError
    else:
        values.append(left**right)
