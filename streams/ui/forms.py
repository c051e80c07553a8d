"""The fields of a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

FIELDS: Final = 100
"""The most fields of a form."""
Form = Mapping[str, str]


async def read_form(request: Request) -> Form | None:
    """Return the text fields of a form; None if it cannot be read. Raises HTTPException if the body is too large."""
    try:
        found = await request.form(max_files=0, max_fields=FIELDS)
    except HTTPException as error:
        if error.status_code == 413:
            raise
        return None
    return {name: value for name, value in found.items() if isinstance(value, str)}
