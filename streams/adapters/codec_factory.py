"""Build the codec of a deployment, with its schema registry or without one.

The registry's client is imported when a registry is configured: it loads OAuth and cryptography, more modules than the
rest of a tier.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from streams.adapters.codec import Codec
from streams.adapters.not_found_grace import NotFoundGrace
from streams.adapters.registry_config import RegistryConfig
from streams.core.errors import NotReadyError

READY_SECONDS, PAUSE_SECONDS = 60, 2
"""The time that a starting tier waits for a registry that is not ready, and the pause between two attempts."""
log = logging.getLogger("escalon.registry")


def codec_for(registry: RegistryConfig | str | None) -> Codec:
    """Return a codec: Confluent's wire format with a registry, single-object encoding without."""
    return _codec(registry)


def patient_codec_for(registry: RegistryConfig | str | None, pause: Callable[[float], None] = time.sleep) -> Codec:
    """Return the codec of a tier, with all its schemas registered. Events wait for schemas that may still be found.

    Waits for READY_SECONDS while the registry is not ready. Raises ServiceError after that, and when it refuses.
    """
    codec = _codec(registry, NotFoundGrace(time.monotonic), pause)
    for left in range(READY_SECONDS, -1, -PAUSE_SECONDS):
        try:
            codec.prepare()
            break
        except NotReadyError as error:
            if left < PAUSE_SECONDS:
                raise
            log.warning("%s It is asked again, for %d s more.", error.what, left)
            pause(PAUSE_SECONDS)
    return codec


def _codec(
    registry: RegistryConfig | str | None,
    grace: NotFoundGrace | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Codec:
    if not registry:
        return Codec(None)
    from streams.adapters.schema_registry import SchemaRegistry

    return Codec(SchemaRegistry(registry, grace, pause=pause))
