"""escalon panel pause, resume and close."""

from __future__ import annotations

from dataclasses import replace

from streams.cli.console import out
from streams.cli.panel_change import change_panel
from streams.cli.panel_link import PanelArgument
from streams.core.messages import PanelState


def pause(name: PanelArgument) -> None:
    """Give no more cases until the panel is resumed. Judgements of open cases are still saved."""
    _set_state(name, "paused", "is paused. Resume it with `escalon panel resume`.")


def resume(name: PanelArgument) -> None:
    """Give cases again, after a pause or after the panel was closed."""
    _set_state(name, "open", "gives cases again.")


def close(name: PanelArgument) -> None:
    """End the panel: it gives no more cases."""
    _set_state(name, "closed", "is closed.")


def _set_state(name: str, state: PanelState, words: str) -> None:
    change_panel(name, lambda panel, _: replace(panel, state=state))
    out.print(f"The panel {name} {words}", markup=False, highlight=False)
