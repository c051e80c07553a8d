"""The browser of the tests: an installed Chromium, headless."""

from __future__ import annotations

import shutil


def chromium_path() -> str | None:
    """Return the path of the installed Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
