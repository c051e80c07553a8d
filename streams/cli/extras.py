"""The optional extras of pyproject.toml, by the modules that they install."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXTRA_OF: Final[Mapping[str, str]] = {
    **dict.fromkeys(("matplotlib", "scipy", "sklearn", "threadpoolctl"), "evaluation"),
    **dict.fromkeys(("itsdangerous", "markupsafe", "python_multipart", "starlette", "uvicorn"), "ui"),
    "huggingface_hub": "local",
}
