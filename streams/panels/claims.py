"""Claims about a stream, such as `error <= 0.05`, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streams.core.errors import ConfigError

_ERROR: Final = re.compile(r"error\s*<=?\s*([0-9]*\.?[0-9]+)\s*(%?)", re.IGNORECASE)
_BETTER: Final = re.compile(r"(\S+)\s+(?:is\s+)?better\s+than\s+(\S+)", re.IGNORECASE)
_FORMS: Final = 'Write "error <= 0.05" or "reasoner better than worker".'


@dataclass(frozen=True, slots=True)
class ErrorClaim:
    """At most the share `limit`, above 0 and below 1, of the delivered answers is wrong."""

    limit: float

    def __str__(self) -> str:
        return f"error <= {self.limit:g}"


@dataclass(frozen=True, slots=True)
class PreferenceClaim:
    """The answers of the option `better` win more often than they lose, where both options have an answer."""

    better: str
    worse: str

    def __str__(self) -> str:
        return f"{self.better} better than {self.worse}"


Claim = ErrorClaim | PreferenceClaim


def read_claim(text: str, options: Sequence[str] = (), *, asks_error: bool = True, asks_pick: bool = True) -> Claim:
    """Read a claim: `error <= 0.05`, `error <= 5 %`, or `A better than B`.

    `options` are the panel's, if it is known, and the rest says if its rubric has a question about being right
    (`means_right`), and one of type pick. Raises ConfigError if the text is not a claim, or the panel cannot decide it.
    """
    if found := _ERROR.fullmatch(text.strip()):
        return _error_claim(float(found[1]) / (100 if found[2] else 1), text, asks_error)
    if found := _BETTER.fullmatch(text.strip()):
        return _preference(found[1], found[2], options, asks_pick or asks_error)
    raise ConfigError(f"{text!r} is not a claim.", _FORMS, "claim")


def _error_claim(limit: float, text: str, asks_error: bool) -> ErrorClaim:
    if not 0 < limit < 1:
        what = f"{text!r} names no share between 0 and 1."
        raise ConfigError(what, 'Write "error <= 0.05" for at most 5 % wrong.', "claim")
    if not asks_error:
        what = "the rubric has no question that says whether an answer is right."
        raise ConfigError(what, 'Give a yes/no question means_right, for example means_right = "yes".', "claim")
    return ErrorClaim(limit)


def _preference(better: str, worse: str, options: Sequence[str], asks: bool) -> PreferenceClaim:
    if better == worse:
        raise ConfigError(f"{better!r} cannot be better than itself.", _FORMS, "claim")
    if options and len(options) != 2:
        what = f"the panel compares nothing, so {better!r} cannot be better than {worse!r}."
        raise ConfigError(what, "Make a panel with --compare worker,reasoner or --run A,B.", "claim")
    for name in (better, worse):
        if options and name not in options:
            raise ConfigError(f"the panel has no option {name!r}.", f"Use {' and '.join(options)}.", "claim")
    if not asks:
        what = "the rubric asks neither which answer is better nor whether one is right."
        raise ConfigError(what, 'Add a question of type "pick".', "claim")
    return PreferenceClaim(better, worse)
