"""The name of the person who acts, for the audit."""

from __future__ import annotations

import getpass
import socket


def operator_name() -> str:
    """Return the user who runs this process, as user@host."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # the user id has no name, as in some containers
        return f"unknown@{socket.gethostname()}"
