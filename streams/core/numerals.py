"""Numbers in a text as people type them: separators of any country, signs, fractions, percent, currencies, powers and
names such as million."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import deque
from collections.abc import Iterator

MAX_TEXT = 100_000
"""Characters at the end of a text that are searched."""
MAX_GROUPS = 8
"""Groups of digits, separated by spaces, that may form one number."""
_CURRENCY = "¤"
_MINUS, _SPACE, _APOSTROPHE = "-−‐‑‒–﹣－", " \u00a0\u1680\u202f\u205f\u3000", "'’‘ʼ`´＇٬"
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u2066\u2067\u2068\u2069\ufeff"
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_POWERS = re.compile("10([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")


class _Plain(dict[int, str]):
    """Maps a character to the ASCII character that means the same in a number, else to itself."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _plain(chr(code))
        return found


def _plain(one: str) -> str:
    digit = unicodedata.decimal(one, None)
    if digit is not None:
        return str(digit)
    if unicodedata.category(one) == "Sc":
        return _CURRENCY
    if unicodedata.decomposition(one).startswith("<fraction>"):
        return f" {unicodedata.normalize('NFKC', one).replace('⁄', '/')}"
    return chr(ord(one) - 0xFEE0) if "\uff01" <= one <= "\uff5e" else one


_PLAIN = _Plain(
    {ord(one): plain for group, plain in (
        (_MINUS, "-"), (_SPACE, " "), (_APOSTROPHE, "'"), (_INVISIBLE, ""), ("⁄∕", "/"), ("٫", "."), ("٪", "%"),
        ("\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a", " "),
    ) for one in group}
)  # fmt: skip

_MAGNITUDES = {
    3: r"[kK]\b|[ ]?(?i:thousand|tausend|tsd|mille)\b",
    5: r"[ ]?(?i:lakhs?|lacs?)\b",
    6: r"M\b|[ ]?(?i:mn|mio|mill|millions?|millionen)\b",
    7: r"[ ]?(?i:crores?)\b",
    9: r"[ ]?(?i:bn|billions?|mrd|milliarden?|milliards?)\b",
}
"""Names of powers of ten, by the power."""
_UNIT_POWER = "".join(rf"(?!(?<=\b{unit})[23](?![0-9]))" for unit in ("m", "mm", "cm", "dm", "km", "ft", "CO"))
"""Not the 2 of m2."""
_NUMBER = re.compile(
    rf"""
    (?: (?<![0-9]) (?P<sign>[-+]) (?: [ ]?¤[ ]? | [A-Z]{{3}}[ ]? )? )?
    {_UNIT_POWER} (?P<body> (?: (?<![\w.,])[.,] )? [0-9]+ (?: [.,'/_ ][0-9]+ )* )
    (?: [eE](?P<exponent>[-+]?[0-9]+) | [ ]?[x*×·][ ]?10(?:\^|\*\*)(?P<power>[-+]?[0-9]+) )?
    (?: {"|".join(f"(?P<e{power}>{names})" for power, names in _MAGNITUDES.items())} )?
    (?P<percent> [ ]?[%‰] | [ ]?(?:percent|per[ ]cent|Prozent)\b )?
    (?P<after> - (?=[ ]*¤?[ ]*\Z) )?
    """,
    re.VERBOSE,
)
_BRACKETED = re.compile(r"(?:¤|[A-Z]{3})? ?\( ?(?:¤|[A-Z]{3})? ?[0-9.,'_ ]*[0-9][kKM]? ?[%¤]? ?\) ?[%¤]?")
_MIXED = re.compile(r"(?:(?P<whole>[0-9]{1,9}) )?(?P<over>[0-9]{1,9})/(?P<under>[0-9]{1,9})")
_FORMS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    # A form, the characters that group its digits, and its decimal separator.
    (re.compile(r"[1-9][0-9]{0,2}([,' _])[0-9]{3}(?:\1[0-9]{3})*(?:\.[0-9]+)?"), ",' _", "."),
    (re.compile(r"[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?"), ",", "."),  # India: 12,34,567.89
    (re.compile(r"[1-9][0-9]{0,2}([.' _])[0-9]{3}(?:\1[0-9]{3})*(?:,[0-9]+)?"), ".' _", ","),
    (re.compile(r"[0-9]*\.?[0-9]+"), "", "."),
    (re.compile(r"[0-9]*,[0-9]+"), "", ","),
)


def readings(text: str) -> tuple[float, ...]:
    """Return the possible values of the last number in a text, the likeliest first; empty if it has no finite one.

    `1,234` is 1234 in one country and 1.234 in another, and `5 %` is 5 or 0.05.
    """
    plain = _POWERS.sub(lambda found: "10^" + found[1].translate(_SUPERSCRIPT), text[-MAX_TEXT:]).translate(_PLAIN)
    numbers = deque(_NUMBER.finditer(plain), maxlen=1)
    if not numbers:
        return ()
    last = numbers[0]
    bracketed = _BRACKETED.fullmatch(plain.strip())  # as accountants write negative numbers
    sign = -1.0 if bracketed or last["sign"] == "-" or last["after"] else 1.0
    found = dict.fromkeys(sign * value for digits in _read(last["body"]) for value in _scaled(digits, last))
    return tuple(value for value in found if math.isfinite(value))


def _scaled(digits: str, found: re.Match[str]) -> Iterator[float]:
    """Yield a number scaled by its power of ten; a percentage also as a share."""
    named = next((power for power in _MAGNITUDES if found[f"e{power}"]), 0)
    value = float(f"{digits}e{found['exponent'] or found['power'] or named}")
    yield value
    if found["percent"]:
        yield value / (1000 if "‰" in found["percent"] else 100)


def _read(body: str) -> Iterator[str]:
    """Yield every reading, with a decimal point, of digits with single separators between them."""
    if "/" in body:
        yield from _fraction(body)
        return
    pieces = body.split(" ")[-MAX_GROUPS:]
    longest = (" ".join(pieces[n:]) for n in range(len(pieces)))
    yield from _values(next(filter(_valid, longest), pieces[-1]))


def _fraction(body: str) -> Iterator[str]:
    mixed = _MIXED.fullmatch(body)
    if mixed is None or not int(mixed["under"]):  # a date, or a list
        yield from _read(body.rpartition("/")[2])
        return
    yield f"{int(mixed['whole'] or 0) + int(mixed['over']) / int(mixed['under']):.17f}"


def _valid(digits: str) -> bool:
    return any(form.fullmatch(digits) for form, _, _ in _FORMS)


def _values(digits: str) -> Iterator[str]:
    """Yield the value by each form that fits. If none fits, as with a date, only the last group counts."""
    if not _valid(digits):
        digits = re.split(r"[.,'_ ]", digits)[-1]
    for form, grouping, decimal in _FORMS:
        if form.fullmatch(digits):
            yield "".join(one for one in digits if one not in grouping).replace(decimal, ".")
