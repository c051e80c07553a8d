"""Whether a message that could be decoded can be worked on: what its schema cannot say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.core.errors import UnreadableError
from streams.core.messages import Escalation, Sighting, Verdict

_HASH: Final = re.compile(r"[0-9a-f]{16}")
_CHECKS: Final[Mapping[type, tuple[str, Callable[[Any], bool]]]] = {
    Sighting:   ("image_hash is no 64-bit hash",  lambda x: _HASH.fullmatch(x.image_hash) is not None),
    Verdict:    ("intents is empty",              lambda x: bool(x.intents)),
    Escalation: ("intents is empty",              lambda x: bool(x.intents)),
}  # fmt: skip


def check_sound(message: Any) -> None:
    """Raise UnreadableError for a message of a tier that no tier of ours writes."""
    what, holds = _CHECKS.get(type(message), ("", None))
    if holds is not None and not holds(message):
        raise UnreadableError("bad_message", f"{what}.", "Only a tier writes this topic; check who else does.")
