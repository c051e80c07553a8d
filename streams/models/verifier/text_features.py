"""The shape of a task's text as numbers: its size, figures, question and options."""

from __future__ import annotations

import math
import re

from streams.models.verifier.expressions import MAX_TEXT
from streams.models.verifier.quantities import WORD, words

_COUNTED = {
    "sentences": r"[.!?](?:\s|$)",
    "numbers": r"\d+(?:[.,]\d+)*",
    "number_words": (
        r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|half|twice|double|triple|third|quarter|dozen|times)\b"
    ),
    "percent": r"%|percent",
    "fractions": r"\d/\d",
    "money": r"[$€£]",
    "decimals": r"\d\.\d",
    "questions": r"\?",
    "negations": r"\b(?:not|no|never|except|least|neither|nor|without|false|incorrect|unlikely)\b|n't\b",
    "quotes": r"[\"“”]",
    "brackets": r"\(",
    "maths": r"[+*/^=<>]|\d ?- ?\d",
    "code": r"[{};]|def |return",
    "new_lines": r"\n",
    "how_many": r"how many",
    "how_much": r"how much",
    "total": r"\b(?:total|altogether|combined|together|sum|in all)\b",
    "more_less": r"\b(?:more|less|fewer|than)\b",
    "each": r"\b(?:each|every|per)\b",
    "rate": r"\b(?:rate|speed|average|mean)\b",
    "time": r"\b(?:hours?|minutes?|days?|weeks?|months?|years?)\b",
    "left": r"\b(?:left|remain\w*|rest|remaining)\b",
    "ratio": r"\b(?:ratio|times|as many|as much)\b",
    "compare": r"\b(?:difference|compared|greater|smaller|older|younger|taller)\b",
    "statement": r"\bstatements? ?\d?",
    "which": r"\bwhich\b",
    "what": r"\bwhat\b",
    "why": r"\b(?:why|because|explain\w*)\b",
    "best": r"\b(?:best|most|least|primarily|likely)\b",
}
_COUNTERS = {name: re.compile(pattern, re.I) for name, pattern in _COUNTED.items()}
_PROSE = ("chars", "words", "word_length", "long_words", "capitalised", "digits", "symbols", "not_ascii", "acronyms")
_OPTIONS = (
    "options", "option_mean", "option_shortest", "option_longest", "option_spread", "option_figures",
    "option_all_none", "option_same_start", "option_overlap", "option_in_stem",
    "stem", "stem_share", "stem_question", "stem_blank",
)  # fmt: skip
NAMES = _PROSE + tuple(_COUNTED) + _OPTIONS
"""The keys of `text_features`, in order."""

_OPTION = re.compile(r"^[ \t]*\(?([A-H1-9])[.)][ \t]+(.*)$", re.M)
_ALL_NONE = re.compile(r"\b(?:all|none|both|neither) of\b|\b(?:I|II|III) (?:and|only)\b", re.I)
_ACRONYM = re.compile(r"\b[A-Z]{2,}\b")
_MAX_OPTIONS = 50


def text_features(text: str) -> dict[str, float]:
    """Return the features NAMES, in this order, of a text, all finite: counts, shares and logarithms of lengths.

    Options are lines that begin with a letter or digit and a full stop or bracket; the stem is the text before them.
    Words and cues are English. Only the first MAX_TEXT characters count. Never raises.
    """
    cut = text[:MAX_TEXT]
    counted = {name: float(len(counter.findall(cut))) for name, counter in _COUNTERS.items()}
    found = {**_prose(cut), **counted, **_options(cut)}
    return {name: float(found[name]) for name in NAMES}


def _prose(text: str) -> dict[str, float]:
    found = WORD.findall(text)
    length, count = len(text) + 1, len(found) + 1
    return {
        "chars": math.log1p(len(text)),
        "words": math.log1p(len(found)),
        "word_length": sum(map(len, found)) / count,
        "long_words": sum(len(word) > 8 for word in found) / count,
        "capitalised": sum(word[0].isupper() for word in found) / count,
        "digits": sum(map(str.isdigit, text)) / length,
        "symbols": sum(not (char.isalnum() or char.isspace()) for char in text) / length,
        "not_ascii": sum(not char.isascii() for char in text),
        "acronyms": len(_ACRONYM.findall(text)),
    }


def _options(text: str) -> dict[str, float]:
    matches = list(_OPTION.finditer(text))[:_MAX_OPTIONS]
    options = [match[2].strip() for match in matches]
    stem = text[: matches[0].start()] if matches else text
    return {
        **(_option_shape(options, stem) if options else dict.fromkeys(_OPTIONS, 0.0)),
        "stem": math.log1p(len(stem)),
        "stem_share": len(stem) / (len(text) + 1),
        "stem_question": float(stem.rstrip().endswith("?")),
        "stem_blank": stem.count("___"),
    }


def _option_shape(options: list[str], stem: str) -> dict[str, float]:
    lengths = [len(option) for option in options]
    sets = [set(words(option)) for option in options]
    every = set().union(*sets)
    shared = sum(sum(word in own for own in sets) > 1 for word in every)
    shortest, longest = math.log1p(min(lengths)), math.log1p(max(lengths))
    return {
        "options": len(options),
        "option_mean": math.log1p(sum(lengths) / len(lengths)),
        "option_shortest": shortest,
        "option_longest": longest,
        "option_spread": longest - shortest,
        "option_figures": sum(any(map(str.isdigit, option)) for option in options) / len(options),
        "option_all_none": len(_ALL_NONE.findall(" ".join(options))),
        "option_same_start": len(options) - len({option.split(" ")[0].lower() for option in options}),
        "option_overlap": shared / (len(every) + 1),
        "option_in_stem": len(every & set(words(stem))) / (len(every) + 1),
    }
