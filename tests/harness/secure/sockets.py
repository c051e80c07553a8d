"""The kernel's list of the sockets on which a process and its children listen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

LISTEN = "0A"
Address = IPv4Address | IPv6Address


def family(pid: int) -> set[int]:
    """The process and every descendant of it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
                )
            except OSError:  # it has just ended
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def command_lines(pids: set[int]) -> bytes:
    """Return the command lines that a listing of these processes shows."""
    found = []
    for pid in pids:
        with suppress(OSError):  # it has just ended
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    return b"\n".join(found)


def listening(pids: set[int]) -> Iterator[tuple[int, Address, int]]:
    """Process, address and port of every TCP socket that one of them listens on."""
    owners = {inode: pid for pid in pids for inode in _inodes(pid)}
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]:
            fields = row.split()
            if fields[3] == LISTEN and fields[9] in owners:
                host, _, port = fields[1].partition(":")
                yield owners[fields[9]], _address(host), int(port, 16)


def _inodes(pid: int) -> Iterator[str]:
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # the process has just ended
        return
    for entry in entries:
        with suppress(OSError):  # this file has just been closed; the others are still open
            target = str(entry.readlink())
            if target.startswith("socket:["):
                yield target[8:-1]


def _address(words: str) -> Address:
    """The kernel writes each 32 bits as a number in the machine's own order."""
    data = b"".join(int(words[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(words), 8))
    found = ip_address(data)
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
