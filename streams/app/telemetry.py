"""The tracing of a tier, from the settings."""

from __future__ import annotations

from importlib.metadata import version

from streams.app.settings import Settings
from streams.core.errors import ConfigError
from streams.telemetry.metrics import observe_spans
from streams.telemetry.tracing import OFF, Tracing


def tracing_of(settings: Settings, tier: str) -> Tracing:
    """Return tracing to the collector of OpenTelemetry's standard variables; OFF unless ESCALON_TRACES is set.

    Raises ConfigError if the settings are wrong.
    """
    if not settings.traces:
        return OFF
    if settings.traces_percent > 100:
        what = f"{settings.traces_percent} is not a percentage."
        raise ConfigError(what, "Set it to a number from 0 to 100.", "ESCALON_TRACES_PERCENT")
    from streams.telemetry.otlp import OtlpExporter

    resource = {
        "service.namespace": "escalon",
        "service.name": f"escalon-{tier}",
        "service.version": version("escalon"),
        "service.instance.id": f"{settings.topic_prefix}{tier}-{settings.instance}",
    }
    return Tracing(
        group=f"escalon-{settings.topic_prefix}{tier}",
        spans=OtlpExporter(resource, observe_spans),
        percent=settings.traces_percent,
        texts=settings.traces_texts,
        now=settings.now,
    )
