"""Whether this process can do its work, for whoever asks over HTTP."""

from __future__ import annotations

from streams.telemetry.metrics import UNHEALTHY


class Health:
    """What keeps a process from its work; None while nothing does."""

    def __init__(self) -> None:
        self.trouble: str | None = None

    def mark_unhealthy(self, trouble: str) -> None:
        """From now on the process cannot do its work."""
        self.trouble = trouble
        UNHEALTHY.set(1)

    def mark_healthy(self) -> None:
        """From now on it can."""
        self.trouble = None
        UNHEALTHY.set(0)


HEALTH = Health()
"""Of this process."""
