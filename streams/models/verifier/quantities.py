"""Quantities in a text, in digits and in English words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from streams.models.verifier.expressions import MAX_TEXT, numbers

WORD = re.compile(r"[^\W\d_]+")
_VALUES = {
    2.0: ("two", "half", "halves", "twice", "double", "doubled", "doubles", "both", "pair", "couple"),
    3.0: ("three", "thrice", "triple", "third", "thirds"),
    4.0: ("four", "quarter", "quarters", "fourth"),
    5.0: ("five", "fifth"),
    12.0: ("twelve", "dozen", "dozens"),
}
_SINGLE = {
    "zero": 0.0, "one": 1.0, "six": 6.0, "seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0, "eleven": 11.0,
    "thirteen": 13.0, "fourteen": 14.0, "fifteen": 15.0, "sixteen": 16.0, "seventeen": 17.0, "eighteen": 18.0,
    "nineteen": 19.0, "twenty": 20.0, "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "seventy": 70.0,
    "eighty": 80.0, "ninety": 90.0, "hundred": 100.0, "thousand": 1000.0,
}  # fmt: skip
NUMBER_WORDS: Mapping[str, float] = _SINGLE | {word: value for value, words in _VALUES.items() for word in words}
"""English words for a number, a multiple or the divisor of a fraction."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, numbers left out."""
    return WORD.findall(text[:MAX_TEXT].lower())


def quantities(text: str) -> list[float]:
    """Return the numbers in digits, then those in words."""
    return numbers(text) + [NUMBER_WORDS[word] for word in words(text) if word in NUMBER_WORDS]


def canonical(value: float) -> float:
    """Return the value to 7 significant digits, so that sums in another order still count as the same number."""
    return float(f"{value:.7g}")
