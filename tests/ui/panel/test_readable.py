from __future__ import annotations

import json

from streams.ui.panel.readable import (
    MAX_ROWS,
    MAX_TEXT,
    Row,
    answer_rows,
    compared_rows,
    data_of,
    excerpt,
    excerpt_of,
    shown,
    turns_of,
)


def named(rows: tuple[Row, ...]) -> dict[str, str]:
    return {row.name: row.text for row in rows}


def marked(rows: tuple[Row, ...]) -> list[str]:
    return [piece.text for row in rows for piece in row.pieces if piece.differs]


def test_a_text_whose_lines_name_their_speakers_is_split_into_turns() -> None:
    turns = turns_of("Anna: Where is it?\nIt was due today.\nDesk: On its way.\nAnna: Thanks.")
    assert [(turn.speaker, turn.text) for turn in turns] == [
        ("Anna", "Where is it?\nIt was due today."),
        ("Desk", "On its way."),
        ("Anna", "Thanks."),
    ]


def test_a_mail_with_headers_stays_whole() -> None:
    mail = "From: anna\nTo: desk\nSubject: lamp\n\nWhere is it?"
    assert [(turn.speaker, turn.text) for turn in turns_of(mail)] == [("", mail)]


def test_an_empty_text_has_no_turn() -> None:
    assert turns_of(" \n") == ()


def test_messages_in_the_data_are_a_conversation_and_the_rest_is_a_table() -> None:
    turns, rows = data_of(json.dumps({"messages": [{"role": "user", "content": "Hello?"}], "order": 7}))
    assert [(turn.speaker, turn.text) for turn in turns] == [("user", "Hello?")]
    assert named(rows) == {"order": "7"}


def test_nested_data_is_flattened_with_names_that_say_where_a_value_is() -> None:
    _, rows = data_of(json.dumps({"a": {"b": True}, "lines": [{"n": 1}, {"n": None}], "tags": ["x", "y"]}))
    assert named(rows) == {"a › b": "yes", "lines 1 › n": "1", "lines 2 › n": "–", "tags": "x\ny"}


def test_data_without_fields_is_shown_as_it_is() -> None:
    assert data_of("not JSON")[1][0].text == "not JSON"
    assert data_of(None) == ((), ())


def test_deeply_nested_data_is_shown_as_text() -> None:
    deep = "[" * 100_000
    assert data_of(deep)[1][0].text.startswith("[[[")


def test_very_many_fields_are_counted_instead_of_shown() -> None:
    _, rows = data_of(json.dumps({str(number): number for number in range(MAX_ROWS + 5)}))
    assert rows[-1].text == "5 more fields"
    assert len(rows) == MAX_ROWS + 1


def test_a_structured_answer_is_shown_by_field() -> None:
    assert named(answer_rows('{"reply": "Yes.", "price": 12.5}')) == {"reply": "Yes.", "price": "12.5"}
    assert named(answer_rows("Yes.")) == {"": "Yes."}


def test_only_the_words_that_differ_are_marked_on_both_sides() -> None:
    left, right = compared_rows("We open at nine today.", "We open at ten today, not earlier.")
    assert marked(left) == ["nine"]
    assert marked(right) == ["ten", ", not earlier"]


def test_the_marked_pieces_add_up_to_the_whole_text() -> None:
    a, b = "one  two\nthree four ", " one three\n\nfour five"
    left, right = compared_rows(a, b)
    assert (left[0].text, right[0].text) == (a, b)


def test_fields_are_compared_by_name() -> None:
    left, right = compared_rows('{"x": "same", "y": "old"}', '{"y": "new", "x": "same", "z": "more"}')
    assert marked(left) == ["old"]
    assert marked(right) == ["new", "more"]


def test_control_characters_and_marks_of_direction_are_removed() -> None:
    assert shown("a\x00b\u202ec\u2066d\te\nf\r\ng") == "a b c d\te\nf\ng"


def test_a_very_long_text_is_shortened_and_says_so() -> None:
    assert shown("x" * (MAX_TEXT + 7)).endswith("… (7 more characters)")


def test_an_excerpt_is_one_line() -> None:
    assert excerpt("a\n b   c") == "a b c"
    assert excerpt("word " * 100, 12) == "word word w…"


def test_an_excerpt_of_a_case_without_text_says_that_it_is_an_image_and_what_its_data_say() -> None:
    assert excerpt_of("My parcel is wet.", '{"channel": "mail"}', has_image=True) == "My parcel is wet."
    assert excerpt_of("", '{"channel": "image"}', has_image=True) == "Image · channel: image"
    assert excerpt_of("", "", has_image=True) == "Image"
    assert excerpt_of("", '{"messages": [{"role": "user", "content": "hello"}]}', has_image=False) == "hello"


def test_nothing_is_marked_in_very_long_answers() -> None:
    left, right = compared_rows(" ".join(["old"] * 10_000), " ".join(["new"] * 10_000))
    assert not any(piece.differs for row in (*left, *right) for piece in row.pieces)
