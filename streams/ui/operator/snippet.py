"""The part of a foreign text around what was looked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from markupsafe import Markup

from streams.core.harmless import one_line

BEFORE, AFTER = 100, 200
"""Characters before and after what was looked for."""
_NOTHING: Final = re.compile(r"(?!)")


def snippet(text: str, wanted: str, hide: Callable[[str], str]) -> Markup:
    """Return the part of a foreign text around `wanted`, which is marked; without it, the beginning.

    Secrets are hidden before the text is cut and marked, because a part of one would not be recognised any more.
    """
    hidden = hide(text)
    looked_for = re.compile(f"({re.escape(wanted)})", re.IGNORECASE) if wanted else _NOTHING
    found = looked_for.search(hidden)
    start = max(found.start() - BEFORE, 0) if found else 0
    end = (found.end() if found else 0) + AFTER
    parts = [one_line(part) for part in looked_for.split(hidden[start:end])]
    marked = [Markup("<mark>{}</mark>").format(part) if number % 2 else part for number, part in enumerate(parts)]
    return Markup().join(["…" if start else "", *marked, "…" if end < len(hidden) else ""])
