"""Change a panel: each change is a new message."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta

from streams.app.settings import Settings
from streams.cli.console import note
from streams.cli.context import find_pipeline_if_any, require_clickhouse, server_settings
from streams.core.messages import Panel


def change_panel(name: str, change: Callable[[Panel, datetime], Panel]) -> tuple[Settings, Panel]:
    """Publish what `change` makes of a panel at a time, unless it is the same; return the settings and the panel.

    Raises ConfigError if there is no panel of that name, ServiceError if a server cannot be used.
    """
    from streams.audit.query import Audit
    from streams.embedded.recording import recording_servers
    from streams.panels.panel_log import current_panel
    from streams.panels.publication import publish

    settings = server_settings()
    loaded = find_pipeline_if_any(settings, None, "The pipeline is not used")
    with recording_servers(settings, loaded, note) as recording:
        with closing(Audit(require_clickhouse(recording))) as audit:
            known = current_panel(recording, audit, name)
        now = max(recording.now(), known.updated_at + timedelta(microseconds=1))
        changed = change(known, now)
        if changed == known:
            return recording, known
        changed = replace(changed, updated_at=now)
        publish(recording, [changed])
    return recording, changed
