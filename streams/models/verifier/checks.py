"""Deterministic checks of an answer against its task, as numeric features."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from streams.models.verifier import arithmetic_checks
from streams.models.verifier.expressions import MAX_TEXT, NUMBER, numbers
from streams.models.verifier.quantities import words

FORM_NAMES = (
    "answered", "length", "lines", "sentences", "words", "repeated", "open_brackets", "cut",
    "ends_open", "ends_operator", "ends_group", "ends_stop", "ends_number",
    "last_line_share", "last_line_numbers", "last_line_words", "last_line_bare", "last_line_decimals", "number_found",
    "hedges", "corrections", "assumptions", "rounding", "symbols",
    "quoted_share", "question_overlap", "task_overlap", "question_money", "final_money", "cents",
)  # fmt: skip
NAMES = FORM_NAMES + arithmetic_checks.NAMES
"""The keys of `check_features`, in order."""

_SENTENCE = re.compile(r"[.!?]+(?=\s|$)|\n+")
_COUNTED = {
    "hedges": re.compile(
        r"\b(?:maybe|perhaps|probably|possibly|likely|about|approximately|roughly|around|seems?|unclear|not sure|"
        r"cannot|can't|unable|impossible|not (?:enough|possible|specified|given|provided|clear)|doesn't|does not|"
        r"no information)\b",
        re.I,
    ),
    "corrections": re.compile(
        r"\b(?:wait|actually|however|but|instead|mistake|correction|sorry|apologi\w+|let me|re-?check|"
        r"on second thought)\b",
        re.I,
    ),
    "assumptions": re.compile(r"\b(?:assum\w+|suppose|let's (?:say|denote|call)|let \w be|denote|equation)\b", re.I),
    "rounding": re.compile(r"\b(?:round\w*|nearest|approximat\w+|whole number)\b", re.I),
    "symbols": re.compile(r"\b[a-zA-Z] ?=|\d[a-z]\b"),
}
_MONEY = re.compile(
    r"[$€£]|\b(?:dollars?|money|costs?|pay|paid|spend|spent|earn\w*|profit|price|charge\w*|save\w*|cents?)\b", re.I
)
_QUOTE = re.compile(r"[\"“]([^\"“”\n]{3,500})[\"”]")
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"), ("<<", ">>"))


def check_features(text: str, data: Mapping[str, Any], answer: str | None) -> dict[str, float]:
    """Return the features NAMES, in this order, of an answer to the task `text` with the fields `data`.

    Without an answer, or with an empty one, `answered` is 0 and every other feature is NaN: unknown. Otherwise all are
    finite: counts, shares (0..1), natural logarithms of sizes, 0 or 1 for false or true; a missing part of an answer is
    0. A quotation counts as found when the text or a text field contains it. Only the first MAX_TEXT characters of the
    text and the answer count. Never raises.
    """
    if answer is None or not answer[:MAX_TEXT].strip():
        return {**dict.fromkeys(NAMES, math.nan), "answered": 0.0}
    task, given = text[:MAX_TEXT], answer[:MAX_TEXT].strip()
    fields = [value[:MAX_TEXT] for value in list(data.values())[:100] if isinstance(value, str)]
    found = {
        **_form(given),
        **_ending(given),
        **{name: float(len(pattern.findall(given))) for name, pattern in _COUNTED.items()},
        **_overlap(task, given),
        **_money(task, given),
        "quoted_share": _quoted_share(given, [task, *fields]),
        **arithmetic_checks.arithmetic_features(task, given),
    }
    return {name: float(found[name]) for name in NAMES}


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _form(answer: str) -> dict[str, float]:
    sentences = _sentences(answer)
    return {
        "answered": 1.0,
        "length": math.log1p(len(answer)),
        "lines": len(_lines(answer)),
        "sentences": len(sentences),
        "words": len(words(answer)),
        "repeated": len(sentences) - len(set(sentences)),
    }


def _ending(answer: str) -> dict[str, float]:
    """Describe the answer's end. It looks cut off within a bracket, an operation or a number."""
    last = _lines(answer)[-1]
    digits = sum(map(len, NUMBER.findall(last)))
    open_brackets = sum(answer.count(opening) - answer.count(closing) for opening, closing in _BRACKETS)
    ends_operator, ends_group = answer[-1] in "+-*/=<(,:$x", bool(re.search(r"\d,\d{0,2}$", answer))
    return {
        "open_brackets": open_brackets,
        "ends_open": open_brackets > 0,
        "ends_operator": ends_operator,
        "ends_group": ends_group,
        "cut": open_brackets > 0 or ends_operator or ends_group,
        "ends_stop": answer[-1] in ".!?)]}\"'",
        "ends_number": answer[-1].isdigit(),
        "last_line_share": len(last) / len(answer),
        "last_line_numbers": len(numbers(last)),
        "last_line_words": math.log1p(len(words(last))),
        "last_line_bare": digits / len(last),
        "last_line_decimals": bool(re.search(r"\.\d+\D*$", last)),
        "number_found": bool(numbers(answer)),
    }


def _overlap(task: str, answer: str) -> dict[str, float]:
    """Return the shares of the longer words of the task and its last sentence that the answer and its end repeat."""
    question = {word for word in words((_sentences(task) or [""])[-1]) if len(word) > 3}
    whole = {word for word in words(task) if len(word) > 3}
    ending = set(words(" ".join(_lines(answer)[-2:])))
    return {
        "question_overlap": len(question & ending) / (len(question) + 1),
        "task_overlap": len(whole & set(words(answer))) / (len(whole) + 1),
    }


def _money(task: str, answer: str) -> dict[str, float]:
    asked = (_sentences(task) or [""])[-1]
    cents = bool(re.search(r"[$€£]\d+\.\d", task)) + bool(re.search(r"\.\d\d\b", answer))
    return {
        "question_money": bool(_MONEY.search(asked)),
        "final_money": bool(re.search(r"[$€£]", " ".join(_lines(answer)[-2:]))),
        "cents": cents,
    }


def _quoted_share(answer: str, sources: list[str]) -> float:
    """Return the share of the answer's quotations that a source contains, but for case and spacing; 1 without any."""
    quotes = [" ".join(quote.lower().split()) for quote in _QUOTE.findall(answer)[:50]]
    spaced = [" ".join(source.lower().split()) for source in sources]
    return sum(any(quote in source for source in spaced) for quote in quotes) / len(quotes) if quotes else 1.0
