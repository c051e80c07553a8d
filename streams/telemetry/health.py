"""The health of this process, as its web server reports it."""

from __future__ import annotations

from streams.telemetry.metrics import UNHEALTHY


class Health:
    """`trouble` says why the process cannot work; None while it can."""

    def __init__(self) -> None:
        self.trouble: str | None = None

    def mark_unhealthy(self, trouble: str) -> None:
        """Report that the process cannot work."""
        self.trouble = trouble
        UNHEALTHY.set(1)

    def mark_healthy(self) -> None:
        """Report that the process can work again."""
        self.trouble = None
        UNHEALTHY.set(0)


HEALTH = Health()
