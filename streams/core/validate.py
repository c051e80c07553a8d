"""Checks of decoded messages that their schemas cannot express."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.core.errors import UnreadableError
from streams.core.messages import Escalation, Sighting, Verdict

_HASH: Final = re.compile(r"(?:[0-9a-f]{16})?")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_THUMBNAIL_BYTES: Final = 32 * 32


def _image_hashed(sighting: Sighting) -> bool:
    hashed = _HASH.fullmatch(sighting.image_hash) is not None
    whole = sighting.thumbnail is None or len(sighting.thumbnail) == _THUMBNAIL_BYTES
    return hashed and whole and _SHA256.fullmatch(sighting.event.image or "") is not None


_CHECKS: Final[Mapping[type, tuple[str, Callable[[Any], bool]]]] = {
    Sighting:   ("it holds no image, or no hash of one",  lambda x: _image_hashed(x)),
    Verdict:    ("intents is empty",                      lambda x: bool(x.intents)),
    Escalation: ("intents is empty",                      lambda x: bool(x.intents)),
}  # fmt: skip


def validate_message(message: Any) -> None:
    """Raise UnreadableError for a message between tiers that no tier of this release writes."""
    what, holds = _CHECKS.get(type(message), ("", None))
    if holds is not None and not holds(message):
        raise UnreadableError("bad_message", f"{what}.", "Only a tier writes this topic; check who else does.")
