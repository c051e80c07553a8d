"""The search for a batch whose creation was not recorded, because of a kill or an error that proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from streams.batching.intent import Intent
from streams.models.providers.batches import BatchAPI, BatchStatus

UNRESOLVED = timedelta(seconds=180)
"""After this time a request that created a batch has ended, so a batch that is not listed does not exist."""
SKEW = timedelta(seconds=30)
"""The most by which this clock and a provider's differ."""
APART = UNRESOLVED + 2 * SKEW
"""The time between two creations of one model while the first is unresolved: which is which would be unclear."""
Found = BatchStatus | Literal["absent"] | None


@dataclass(kw_only=True)
class Search:
    """Searches a provider's batches for those of intents."""

    is_known: Callable[[str], bool]
    """True for a batch id that any partition's log has."""
    _strange: set[tuple[str, str]] = field(default_factory=set)
    """Intents and batches that do not belong together."""

    def find(
        self, intent: Intent, api: BatchAPI, now: datetime, *, must_end: bool
    ) -> BatchStatus | Literal["absent"] | None:
        """Return the batch, `absent` if there is none, or None while neither is proven.

        With `must_end` the only possible batch is cancelled, so that its results prove whose it is.
        """
        at = intent.intended_at
        found = api.find(intent.intent_id, at - SKEW, at + UNRESOLVED, len(intent.offsets))
        excluded = {batch for of, batch in self._strange if of == intent.intent_id}
        possible = [one for one in found if one.batch_id not in excluded and not self.is_known(one.batch_id)]
        for one in possible:
            if one.certain or (one.ended_at is not None and self._is_of(intent, one, api)):
                return one
        open_ones = [one for one in possible if one.ended_at is None]
        if not open_ones and now >= at + UNRESOLVED:
            return "absent"
        if len(open_ones) == 1 and must_end:
            api.cancel(open_ones[0].batch_id)
        return None

    def _is_of(self, intent: Intent, status: BatchStatus, api: BatchAPI) -> bool:
        item = next(iter(api.results(status.batch_id)), None)
        if item is not None and item.custom_id.startswith(intent.intent_id):
            return True
        self._strange.add((intent.intent_id, status.batch_id))
        return False
