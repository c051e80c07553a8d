"""The address of the pages, as the commands that print links find it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from streams.app.settings import Settings
from streams.embedded.directory_lock import is_locked, locked

ADDRESS_FILE: Final = "ui.url"
LOCK_FILE: Final = "ui.lock"
DEFAULT_PORT: Final = 8484
DEFAULT_ADDRESS: Final = f"http://127.0.0.1:{DEFAULT_PORT}"


@contextmanager
def announced(settings: Settings, address: str) -> Iterator[None]:
    """Keep the address of the pages in the data directory, where other commands find it.

    Raises ServiceError if another server does: a deployment has one.
    """
    file = settings.data_dir / ADDRESS_FILE
    with locked(settings.data_dir, LOCK_FILE):
        file.write_text(address, encoding="utf-8")
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def are_served(settings: Settings) -> bool:
    """True if a server of the pages runs on the data directory."""
    return is_locked(settings.data_dir, LOCK_FILE)


def address_of_pages(settings: Settings) -> str:
    """Return ESCALON_UI_URL, or the address of the server that runs on the data directory, or the default one."""
    try:
        return settings.ui_url or settings.data_dir.joinpath(ADDRESS_FILE).read_text("utf-8")
    except OSError:
        return DEFAULT_ADDRESS
