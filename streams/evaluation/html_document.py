"""HTML documents that need no network: one file each, with their own style, light and dark, narrow and printed.

All texts are escaped, and a policy in the document (Content Security Policy, level 3) lets its own script alone run.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined

_OWN: Final = ("document.html", "tables.html", "document.css")


def html_document(template: str, values: Mapping[str, Any], *, title: str, style: str = "", script: str = "") -> str:
    """Render a template to a whole document.

    The template begins with `{% extends "document.html" %}` and fills `{% block main %}`; it may import the macros of
    `tables.html`. `style` (CSS) is added to the shared one, `script` (JavaScript) runs after the document is read.
    Neither may hold texts of events. Raises jinja2.UndefinedError for a value that the template has and `values` has
    not.
    """
    environment = Environment(
        loader=DictLoader(dict(_shared()) | {"page.html": template}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        **values,
        document_title=title,
        document_style=_shared()["document.css"] + style,
        document_script=script,
        document_script_digest=digest,
    )


def shown_text(text: str, length: int) -> str:
    """Replace control characters in a text by spaces, and truncate it to `length` characters."""
    shown = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text[: length + 1])
    return shown if len(shown) <= length else shown[:length] + "…"


@lru_cache(maxsize=1)
def _shared() -> Mapping[str, str]:
    return {name: files("streams.evaluation").joinpath(name).read_text("utf-8") for name in _OWN}
