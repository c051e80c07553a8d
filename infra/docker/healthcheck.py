"""Check the process in this container: exit code 0 if it is healthy, else 1 with the reason on standard error.

healthcheck.py web PORT [PATH]   its web server, which runs in the event loop that does the work, answers PATH (`/`)
healthcheck.py connected PORT    a TCP connection from this container to PORT is established

It uses the standard library only, so that a check does not import escalon.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

SECONDS = 5.0
ESTABLISHED = "01"
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def answers(port: int, path: str = "/", seconds: float = SECONDS) -> bool:
    """True if GET `path` on this port of 127.0.0.1 returns status 200 within `seconds`."""
    connection = HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def connected(port: int, tables: Iterable[Path] = TABLES) -> bool:
    """True if the kernel's tables of TCP sockets have an established connection to a remote `port`."""
    rows = (row.split() for table in tables if table.exists() for row in table.read_text("ascii").splitlines()[1:])
    return any(row[3] == ESTABLISHED and int(row[2].rpartition(":")[2], 16) == port for row in rows)


CHECKS: dict[str, tuple[Callable[..., bool], str]] = {
    "web": (answers, "the web server does not answer"),
    "connected": (connected, "there is no connection to the broker"),
}


def main(arguments: Sequence[str]) -> int:
    """Run one check and return the exit code."""
    name, port, *path = arguments
    check, complaint = CHECKS[name]
    if check(int(port), *path):
        return 0
    sys.stderr.write(f"{complaint} (port {port})\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
