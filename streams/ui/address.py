"""The address of the pages, as the commands that print links find it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from streams.app.settings import Settings

ADDRESS_FILE: Final = "ui.url"
DEFAULT_PORT: Final = 8484
DEFAULT_ADDRESS: Final = f"http://127.0.0.1:{DEFAULT_PORT}"


@contextmanager
def announced(settings: Settings, address: str) -> Iterator[None]:
    """Keep the address of the pages in the data directory, where `escalon panel link` finds it."""
    file = settings.data_dir / ADDRESS_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(address, encoding="utf-8")
    try:
        yield
    finally:
        if file.exists() and file.read_text("utf-8") == address:  # else another server's
            file.unlink()


def address_of_pages(settings: Settings) -> str:
    """Return ESCALON_UI_URL, or the address of the server that runs on the data directory, or the default one."""
    try:
        return settings.ui_url or settings.data_dir.joinpath(ADDRESS_FILE).read_text("utf-8")
    except OSError:
        return DEFAULT_ADDRESS
