"""escalon: AI on event streams in three tiers.

Listeners look at every event, workers do the routine, reasoners take what a worker refused, was unsure of or failed
at. `Publisher` publishes events; `Task`, `Answer` and `Refusal` are what Python handlers are written with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.app.publisher import Delivery, Publisher
    from streams.calling.task import Answer, Refusal, Task

__all__ = ["Answer", "Delivery", "Publisher", "Refusal", "Task"]

_HOMES = {
    "Publisher": "streams.app.publisher",
    "Delivery": "streams.app.publisher",
    "Task": "streams.calling.task",
    "Answer": "streams.calling.task",
    "Refusal": "streams.calling.task",
}


def __getattr__(name: str) -> Any:
    """Import the public names when first asked for, so that importing a part of the package stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'streams' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
