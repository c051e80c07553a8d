"""Whether this process can do its work, for whoever asks over HTTP."""

from __future__ import annotations

from streams.telemetry.metrics import UNHEALTHY


class Health:
    """What keeps a process from its work; None while nothing does."""

    def __init__(self) -> None:
        self.trouble: str | None = None

    def is_troubled_by(self, trouble: str) -> None:
        """From now on the process cannot do its work."""
        self.trouble = trouble
        UNHEALTHY.set(1)

    def is_well(self) -> None:
        """From now on it can."""
        self.trouble = None
        UNHEALTHY.set(0)


HEALTH = Health()
"""Of this process."""
