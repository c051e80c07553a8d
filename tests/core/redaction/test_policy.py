"""A policy hides what it must, leaves the rest, and fails closed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import ConfigError, ProcessError
from streams.core.redaction.detectors import BUILT_IN, Detector, whole
from streams.core.redaction.policy import FAILED, RedactionPolicy
from tests.harness.sensitive_texts import CARDS, EMAILS, IBANS, PHONES, PLANTED, POLICY, said_in, texts_with


@given(st.data(), PLANTED)
def test_nothing_planted_survives_in_prose_or_in_json_of_any_spelling(data: st.DataObject, secret: str) -> None:
    text = data.draw(texts_with(secret))
    assert secret not in said_in(POLICY.text(text))


@given(st.data(), PLANTED, PLANTED)
def test_redacting_twice_is_redacting_once(data: st.DataObject, one: str, other: str) -> None:
    text = data.draw(texts_with(one)) + data.draw(st.sampled_from(("", " ", "x", "="))) + data.draw(texts_with(other))
    once = POLICY.text(text)
    assert POLICY.text(once) == once


@given(st.text())
def test_any_text_can_be_redacted_and_stays_so(text: str) -> None:
    once = POLICY.text(text)
    assert POLICY.text(once) == once
    assert once != FAILED or text == FAILED


@given(st.text("xyz XYZ äß,.!?\n\t:;()-"))  # no hexadecimal digits: a::a is an address
def test_a_text_without_anything_to_hide_stays_as_it_is(text: str) -> None:
    assert POLICY.text(text) == text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | PLANTED,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | PLANTED, inner, max_size=3),
    max_leaves=8,
)


@given(ANYTHING, st.booleans())
def test_json_stays_json_of_the_same_shape(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1)
    redacted = POLICY.text(text)
    if text.lstrip()[:1] in ("{", "["):
        assert shape(json.loads(redacted)) == shape(value)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return "object"  # two keys may have become the same marker
    return [shape(item) for item in value] if isinstance(value, list) else "scalar"


def test_json_without_anything_to_hide_stays_as_it_is_byte_for_byte() -> None:
    text = '{ "a" :\t"x\\u0041\\ud800",  "big": 1e400, "f": 0.4532015112830366, "a": -0, "n": 12345678 }'
    assert POLICY.text(text) == text


def test_the_secret_of_a_json_field_is_found_by_its_name() -> None:
    text = '{"password": "hunter two", "db_password" : "", "user": "jo", "access_token": 5}'
    assert json.loads(POLICY.text(text)) == json.loads(text.replace("hunter two", "[key]").replace("5", '"[key]"'))


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ('{"password": 1234567}', '{"password": "[key]"}'),
        ('{"password":["a","b"], "note": "c"}', '{"password":"[key]", "note": "c"}'),
        ('{"api_key" : {"old": {"secret": [1]}}, "n": 7}', '{"api_key" : "[key]", "n": 7}'),
        ('[{"password":true},"hello"]', '[{"password":"[key]"},"hello"]'),
        ('{"inner": "{\\"password\\": [1, 2]}"}', '{"inner": "{\\"password\\": \\"[key]\\"}"}'),
    ],
)
def test_the_value_under_a_secret_s_name_is_hidden_whole_and_nothing_else_is(text: str, redacted: str) -> None:
    assert POLICY.text(text) == redacted
    assert POLICY.text(redacted) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("mail jo@x.org, Jürgen.Müller@bücher.example", "mail [email], [email]"),
        ("?to=jo%40x.org&a=1", "?to=[email]&a=1"),
        ("card 4111 1111 1111 1111 until 12/27", "card [card] until 12/27"),
        ("order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),
        ("5,4111111111111111,EUR", "5,[card],EUR"),
        ("DE89 3704 0044 0532 0130 00 please", "[iban] please"),
        ("GB83 WEST 1234 5698 7654 32", "GB83 WEST 1234 5698 7654 32"),
        ("tel. 030 1234567 or 0171/1234567", "tel. [phone] or [phone]"),
        ("2026-01-01 030 1234567", "2026-01-01 [phone]"),
        ("call (555) 223-4567", "call [phone]"),
        ("0049 30 1234567", "[phone]"),
        (r"cut: {\"a\": \"see\nDE89370400440532013000\tand\n030 1234567", r"cut: {\"a\": \"see\n[iban]\tand\n[phone]"),
        ("from 10.0.0.1:8080 and 2001:db8::1.", "from [ip]:8080 and [ip]."),
        ("at 12:30:45 std::vector v1.2.3", "at 12:30:45 std::vector v1.2.3"),
        ('password=hunter2 api_key: "a b"', 'password=[key] api_key: "[key]"'),
        ("Authorization: Bearer abcdef1234", "Authorization: Bearer [key]"),
        ("https://me:secret@host.example/x", "https://me:[key]@host.example/x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIcut off", "[key]"),
    ],
)
def test_what_is_found_gives_way_to_its_name(text: str, redacted: str) -> None:
    assert POLICY.text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "Order 20261102 of 2026-11-02T09:30:00Z for 1,234.56 EUR, 0.8231456789012345 sure",
        "550e8400-e29b-41d4-a716-446655440000",
        "0123456789abcdef0123456789abcdef",
        "the bearer instruments, basic understanding, task-management-systems-for-all",
        "version 10.0.19045.1 at 3:2, chapter 1.2.3.4.5",
    ],
)
def test_dates_ids_and_measurements_are_not_phone_or_card_numbers(text: str) -> None:
    assert POLICY.text(text) == text


def test_only_the_detectors_asked_for_look() -> None:
    policy = RedactionPolicy(id="x", detectors=(BUILT_IN["email"],))
    assert policy.text("jo@x.org +49 30 1234567") == "[email] +49 30 1234567"


def test_a_pattern_of_ones_own_hides_its_group_or_all_of_it() -> None:
    own = (Detector("customer", r"C-\d{4}", whole), Detector("name", r"Mr\.? (\w+)", whole))
    assert RedactionPolicy(id="x", detectors=own).text("C-1234 is Mr. Smith") == "[customer] is Mr. [name]"


@given(EMAILS, PHONES)
def test_a_pattern_that_matches_anything_terminates(one: str, other: str) -> None:
    policy = RedactionPolicy(id="x", detectors=(*BUILT_IN.values(), Detector("rest", r"[\s\S]", whole)))
    once = policy.text(f"{one} {other}")
    assert policy.text(once) == once


def test_a_function_comes_last_and_sees_each_string_of_json() -> None:
    seen: list[str] = []

    def hide(text: str) -> str:
        seen.append(text)
        return text.replace("Smith", "[who]")

    policy = dataclasses.replace(POLICY, function=hide)
    assert policy.text('{"a": "Smith, jo@x.org", "b": 5}') == '{"a": "[who], [email]", "b": 5}'
    assert "Smith, [email]" in seen


@pytest.mark.parametrize("function", [lambda _: 1 / 0, lambda _: None, lambda _: "\ud800"])
def test_what_a_function_fails_on_is_withheld(function: Any) -> None:
    told: list[Exception] = []
    policy = dataclasses.replace(POLICY, function=function, report=told.append)
    assert policy.text("jo@x.org said hello") == FAILED
    assert json.loads(policy.text('{"a": "hello", "n": 1}')) == {FAILED: FAILED}
    assert len(told) >= 2


def test_a_text_is_not_withheld_because_this_process_lacks_memory() -> None:
    def function(_: str) -> str:
        raise MemoryError

    with pytest.raises(ProcessError):
        dataclasses.replace(POLICY, function=function).text("hello")


def test_patterns_too_large_to_be_looked_for_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"redaction\.patterns"):
        RedactionPolicy(id="x", detectors=(Detector("huge", r"(?:[\pL\pN]{1,100}x){9}y", whole),))


# ---- Text as people type it ----


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("write jo＠example.org now", "write [email] now"),
        ("jo@example．org", "[email]"),
        ("jo﹫example.org", "[email]"),
        ("jo@example。org", "[email]"),
        ("jo\u200b@exam\u00adple.org, soon", "[email], soon"),
        ("jo (at) example (dot) org", "[email]"),
        ("jo[at]example.org", "[email]"),
        ("jo&commat;example.org", "[email]"),
        ("card ４１１１　１１１１　１１１１　１１１１ ok", "card [card] ok"),
        ("٤١١١ ١١١١ ١١١١ ١١١١", "[card]"),
        ("𝟒𝟏𝟏𝟏 1111 1111 1111", "[card]"),
        ("4111\u20091111\u20071111\u202f1111", "[card]"),
        ("4111‒1111–1111—1111", "[card]"),
        ("4111\u200b1111\ufeff1111\u20601111", "[card]"),
        ("my card is 4111 1111\n1111 1111.", "my card is [card]."),
        ("4111 1111 1111\r\n> 1111", "[card]"),
        ("4111-1111-\n1111-1111", "[card]"),
        ("411111111111=\r\n1111", "[card]"),
        ("DE89 3704 0044\n0532 0130 00", "[iban]"),
        ("DE 89 3704 0044 0532 0130 00", "[iban]"),
        ("DE89\u00a03704\u202f0044\u20090532 0130 00", "[iban]"),
        ("ＤＥ８９ ３７０４ ００４４ ０５３２ ０１３０ ００", "[iban]"),
        ("+49 30\u2011123\u20114567", "[phone]"),
        ("＋49 30 1234567", "[phone]"),
        ("+٤٩ ٣٠ ١٢٣٤٥٦٧", "[phone]"),
        ("+49 30\n1234567", "[phone]"),
        ("192．168．0．1", "[ip]"),
        ("sk-ant-\u200bapi03-abcdefgh1234567", "[key]"),
        ("ｐａｓｓｗｏｒｄ：ｈｕｎｔｅｒ２", "ｐａｓｓｗｏｒｄ：[key]"),
        ('{"a": "4111 1111\\n1111 1111", "b": "４１１１１１１１１１１１１１１１"}', '{"a": "[card]", "b": "[card]"}'),
        ('cut off {"a": "4111 1111\\n1111 1111', 'cut off {"a": "[card]'),
    ],
)
def test_what_is_typed_in_another_way_is_hidden_all_the_same(text: str, redacted: str) -> None:
    assert POLICY.text(text) == redacted
    assert POLICY.text(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "x² = ½ – and 5 ‰ of ４ things",
        "Tel. 12\n34 56",
        "1234\n5678\n9012\n3456",
        "2026-11-29\n2026-11-30",
        "meet (at) noon",
        "Straße 5\u00a0b, 10115\nBerlin",
        "total: 1\u202f234,56 €\n7 items",
        "a\u200db \u2066c\u2069",
    ],
)
def test_other_text_of_such_characters_stays_as_it_is(text: str) -> None:
    assert POLICY.text(text) == text


def test_a_number_on_the_next_line_is_not_part_of_a_complete_one() -> None:
    assert POLICY.text("Tel +49 30 1234567\n2 tickets") == "Tel [phone]\n2 tickets"
    assert POLICY.text("4111 1111 1111 1111\n2026") == "[card]\n2026"


def test_a_pattern_of_ones_own_finds_what_is_typed_in_another_way() -> None:
    own = RedactionPolicy(id="own-1", detectors=(Detector("ticket", "T-[0-9]{4}", whole),))
    assert own.text("see Ｔ－１２３４ and T\u2011\u00ad1234") == "see [ticket] and [ticket]"


WIDE = {ord(one): ord(one) + 0xFEE0 for one in "0123456789@+ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz."}
OTHER_DIGITS = st.sampled_from("０٠۰०০௦")
DASHES, SPACES = st.sampled_from("‐‑‒–—−－"), st.sampled_from("\u00a0\u2009\u202f\u3000\u2007")
INVISIBLE = st.sampled_from("\u00ad\u200b\u200c\u200d\u2060\ufeff")


@st.composite
def retyped(draw: st.DrawFn, secret: str) -> str:
    """The same in other digits, dashes and spaces, with invisible characters inside."""
    if draw(st.booleans()):
        zero = ord(draw(OTHER_DIGITS))
        secret = secret.translate({ord("0") + digit: zero + digit for digit in range(10)})
    if draw(st.booleans()):
        secret = secret.translate(WIDE)
    secret = secret.replace("-", draw(DASHES)).replace(" ", draw(SPACES))
    for place in sorted(draw(st.lists(st.integers(1, len(secret) - 1), max_size=4)), reverse=True):
        secret = secret[:place] + draw(INVISIBLE) + secret[place:]
    return secret


@given(st.data(), st.one_of(EMAILS, CARDS, IBANS, PHONES))
def test_nothing_planted_survives_however_it_is_typed(data: st.DataObject, secret: str) -> None:
    typed = data.draw(retyped(secret))
    text = (
        data.draw(st.sampled_from(("Dear team, ", "", "(", "\n")))
        + typed
        + data.draw(st.sampled_from(("", ".", " ok")))
    )
    redacted = POLICY.text(text)
    assert typed not in redacted
    assert POLICY.text(redacted) == redacted


@given(st.data(), st.one_of(CARDS.filter(lambda one: " " in one), IBANS.filter(lambda one: " " in one)))
def test_a_number_over_the_end_of_a_line_is_hidden(data: st.DataObject, secret: str) -> None:
    place = data.draw(st.sampled_from([at for at, one in enumerate(secret) if one == " "]))
    end = data.draw(st.sampled_from(("\n", "\r\n", "\n> ", " \n  ")))
    typed = secret[:place] + end + secret[place + 1 :]
    redacted = POLICY.text(f"it is {typed} ok")
    assert redacted in ("it is [card] ok", "it is [iban] ok", "it is [phone] ok")
