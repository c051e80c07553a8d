"""Detectors of e-mail addresses, numbers and secrets in a text.

Patterns run on RE2, in time linear in the text. RE2 has no lookaround, so a pattern finds candidates and plain code
checks their neighbours, checksums and digits.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from re import compile as compiled
from typing import Any

from streams.core.redaction.checksums import IBAN_LENGTHS, luhn, mod97

VERSION = 2
"""The version of the detectors below. A change to their findings changes every policy, so it increments this."""
Span = tuple[int, int]
Found = Callable[[str, Any], Iterable[Span]]
"""Returns the spans to hide, given the text and one match of the pattern in it."""
CARD_DIGITS = range(13, 20)
PHONE_DIGITS = range(8, 16)
MIN_BARE_TOKEN = 20
"""A word of at least this many characters after `Bearer` is a token even without a digit."""


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds one kind of secret: a pattern for candidates, and a function for the spans in a match.

    `hint` is a cheaper pattern that every text with a finding matches; empty if `pattern` is used.
    """

    name: str
    pattern: str
    found: Found
    hint: str = ""


def plain(_: str, match: Any) -> Iterator[Span]:
    yield match.span()


def whole(_: str, match: Any) -> Iterator[Span]:
    """Yield the first group that matched, else the whole match."""
    yield next((match.span(n) for n in range(1, len(match.groups()) + 1) if match.group(n)), match.span())


_ESCAPE = r"\\[nrtbf]"
"""An escaped line end or tab, in text that was JSON and was cut or quoted."""
_START = rf"(?:\b|{_ESCAPE})"
_ESCAPED = compiled(rf"{_ESCAPE}\Z")


def _in_word(text: str, at: int) -> bool:
    """True if the characters before `at` make it the middle of a word."""
    before = text[max(0, at - 2) : at]
    return (before[-1:].isalnum() or before[-1:] == "_") and not _ESCAPED.match(before)


_DIGIT_GROUP = compiled(r"[0-9]+")
_BEFORE_LOCAL_PART = r"[\pL\pN_][\pL\pN._%+'\-]*"
_AT = r"(?:@|%40|&#64;|&#x40;|&commat;|\\+u0040| ?[(\[{] ?at ?[)\]}] ?)"
_DOT = r"(?:\.| ?[(\[{] ?(?:dot|punkt) ?[)\]}] ?)"
EMAIL = rf"(?i){_BEFORE_LOCAL_PART}{_AT}(?:[\pL\pN][\pL\pN\-]*{_DOT})+(?:xn--[a-z0-9\-]+|\pL\pL+)"

CARD = rf"[0-9](?:[ \x{{a0}}\x{{202f}}\-\x{{2010}}-\x{{2013}}]{{0,2}}[0-9]){{{CARD_DIGITS.start - 1},}}"


def _cards(text: str, match: Any) -> Iterator[Span]:
    """Yield every run of whole digit groups that is a card number. Runs may overlap; all are hidden."""
    groups = [(start, end) for start, end in _groups(match) if not _belongs_to_more(text, start, end)]
    for first, (start, _) in enumerate(groups):
        digits = ""
        for begin, end in groups[first : first + CARD_DIGITS.stop]:
            if digits and (len(digits) < 4 or end - begin < 3):  # card numbers are printed in groups of 3 to 7
                break
            digits += text[begin:end]
            if len(digits) >= CARD_DIGITS.stop:
                break
            if len(digits) in CARD_DIGITS and digits[0] in "23456" and luhn(digits):
                yield start, end


def _groups(match: Any) -> list[Span]:
    offset = match.start()
    return [(offset + one.start(), offset + one.end()) for one in _DIGIT_GROUP.finditer(match.group())]


def _belongs_to_more(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if _in_word(text, start) or after[:1].isalpha() or after[:1] == "_":
        return True
    return (before[1:] == "." and before[0].isdigit()) or (after[:1] == "." and after[1:].isdigit())


IBAN = r"(?i)(?:" + "|".join(sorted(IBAN_LENGTHS)) + r") ?[0-9]{2}"
_SEPARATORS = " -\u00a0\u202f"


def _ibans(text: str, match: Any) -> Iterator[Span]:
    start, length = match.start(), IBAN_LENGTHS[match.group()[:2].upper()]
    if _in_word(text, start):
        return
    # IBANs are written in groups, with at most one separator per character.
    part = text[start : start + 2 * length]
    kept = accumulate(one not in _SEPARATORS for one in part)
    end = next((start + place for place, count in enumerate(kept, 1) if count == length), None)
    if end is None or text[end : end + 1].isalnum():
        return
    iban = "".join(one for one in text[start:end] if one not in _SEPARATORS)
    if iban.isascii() and iban.isalnum() and mod97(iban.upper()):
        yield start, end


_PAIRS = r"0[1-9](?:[ \x{a0}.\-][0-9]{2}){4}"
_TRUNK = r"\(?0[1-9][0-9]{0,4}\)?[ \x{a0}/\-.]{1,3}[0-9](?:[ \x{a0}/\-.]?[0-9]){4,10}|0[1-9][0-9]{7,12}"
_AMERICAN = r"\(?[2-9][0-9]{2}\)?[ \x{a0}.\-][0-9]{3}[ \x{a0}.\-][0-9]{4}"
_REST = r"[1-9](?:[ \x{a0}()./\-]{0,3}[0-9]){6,14}"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}\b|[0-9]{1,2}[./\-][0-9]{1,2}[./\-](?:[0-9]{4}|[0-9]{2})\b"
_FRACTION = r"(?:[0-9]{1,2}|[1-9][0-9]*)\.[0-9]{5,}"
# Dates and fractions match too, without a group, so that no part of them is taken for a phone number.
PHONE = (
    rf"(\+{_REST})|(?:\A|[^\pL\pN_]|{_ESCAPE})(?:(00{_REST})|({_PAIRS})|{_DATE}|{_FRACTION}|({_TRUNK})|({_AMERICAN}))"
)
PHONE_GROUPS = 5
PHONE_HINT = rf"(?:\+|00){_REST}|{_PAIRS}|{_TRUNK}|{_AMERICAN}"


def _phones(text: str, match: Any) -> Iterator[Span]:
    """Yield a number in international form with + or 00, a national one that begins with 0, or an American one."""
    start, end = max(match.span(number) for number in range(1, PHONE_GROUPS + 1))
    if start < 0 or text[end : end + 1].isalnum():
        return
    if sum(one.isdigit() for one in text[start:end]) in PHONE_DIGITS:
        yield start, end


IP = r"[0-9A-Fa-f:.]*(?:[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|:[0-9A-Fa-f]*:)[0-9A-Fa-f:.]*"
_IPV4 = compiled(r"(?<![0-9])(?<![0-9]\.)[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])(?!\.[0-9])")


def _addresses(text: str, match: Any) -> Iterator[Span]:
    """Yield IPv4 addresses, or an IPv6 address of at least two groups. A clock time is neither."""
    start, end = match.span()
    while end > start and (text[end - 1] == "." or (text[end - 1] == ":" and text[end - 2] != ":")):
        end -= 1
    if text[start] == ":" and text[start + 1 : start + 2] != ":":
        start += 1
    run, beside = text[start:end], _in_word(text, start) or text[end : end + 1].isalnum()
    if sum(map(bool, run.split(":"))) > 1 and not beside and _is_address(run):
        yield start, end
        return
    for one in _IPV4.finditer(text, match.start(), match.end()):
        if _is_address(one.group()):
            yield one.span()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_VALUE = r"""(?:"([^"\n]+)"|'([^'\n]+)'|\\+"([^"\\\n]+)|([^\s"',;&<>]+))"""
KEY_NAMES = (
    r"(?:passwor[dt]|passwd|passphrase|pwd|secret|client[_\-]?secret|(?:api|access|private|secret)[_\-]?key"
    r"|(?:access|auth|refresh|session|id)[_\-]?token)"
)
_KEYS = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
    r"sk-ant-[A-Za-z0-9_\-]{8,}",
    rf"{_START}((?:sk|pypi|glpat|gldt|xox[abeoprs])-[A-Za-z0-9_\-]{{16,}})",
    r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}",
    r"(?:gh[pousr]|github_pat|npm|hf|dop_v1)_[A-Za-z0-9_]{20,}",
    rf"{_START}((?:(?:sk|rk|pk)_(?:live|test)|whsec)_[A-Za-z0-9]{{16,}})",
    r"AIza[A-Za-z0-9_\-]{30,}",
    r"SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}",
    r"eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*",
    rf"(?i:{_START}(?:bearer|basic)\s+)([A-Za-z0-9\-._~+/]{{8,}}=*)",
    r"(?i:\b[a-z][a-z0-9+.\-]*://[^\s/:@]*:)([^\s/@]+)@",
    rf"(?i:{KEY_NAMES}\\*[\"']?\s*(?::=|[:=])\s*){_VALUE}",
)
KEY = "|".join(f"(?:{one})" for one in _KEYS)


def _keys(text: str, match: Any) -> Iterator[Span]:
    """Yield a key with a known prefix, or the value after `password=`, `Bearer` and the like."""
    start, end = next(whole(text, match))
    value, scheme = text[start:end], text[match.start() : start].strip().lower()
    plain_word = len(value) < MIN_BARE_TOKEN and scheme.endswith(("bearer", "basic"))
    if not any(map(str.isdigit, value)) and (plain_word or value.startswith(("sk-", "pypi-", "xox"))):
        return
    yield start, end


BUILT_IN: dict[str, Detector] = {
    one.name: one
    for one in (
        Detector("key", KEY, _keys),
        Detector("email", EMAIL, plain),
        Detector("iban", IBAN, _ibans),
        Detector("card", CARD, _cards),
        Detector("phone", PHONE, _phones, PHONE_HINT),
        Detector("ip", IP, _addresses),
    )
}
"""In the order in which they run."""
