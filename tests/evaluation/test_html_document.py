from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from jinja2 import UndefinedError

from streams.evaluation.html_document import html_document, shown_text

TEMPLATE = '{% extends "document.html" %}{% block main %}<p>{{ word }}</p>{% endblock %}'


def test_values_and_titles_are_escaped() -> None:
    text = html_document(TEMPLATE, {"word": "<b>"}, title="<i>")
    assert "<p>&lt;b&gt;</p>" in text
    assert "<title>&lt;i&gt;</title>" in text


def test_the_policy_allows_the_documents_own_script_alone() -> None:
    script = "document.title = 1 < 2;"
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    text = html_document(TEMPLATE, {"word": ""}, title="t", script=script)
    assert f"script-src 'sha256-{digest}'\"" in text
    assert f"<script>{script}</script>" in text


def test_a_document_without_a_script_allows_none() -> None:
    text = html_document(TEMPLATE, {"word": ""}, title="t")
    assert "default-src 'none'; style-src 'unsafe-inline'\"" in text
    assert "<script" not in text


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        html_document(TEMPLATE, {}, title="t")


def test_a_table_marks_columns_of_numbers_and_escapes_cells() -> None:
    template = (
        '{% extends "document.html" %}{% from "tables.html" import wide_table %}'
        '{% block main %}{{ wide_table("all", ["name", "count"], [["<b>", 3]], numeric=(1,)) }}{% endblock %}'
    )
    text = html_document(template, {}, title="t")
    assert '<th scope="col">name</th><th scope="col" class="n">count</th>' in text
    assert '<th scope="row">&lt;b&gt;</th><td class="n">3</td>' in text


def test_a_shown_text_keeps_its_lines_and_loses_what_steers_a_terminal() -> None:
    assert shown_text("a\x1b\nb", 10) == "a \nb"
    assert shown_text("abcdef", 3) == "abc…"
