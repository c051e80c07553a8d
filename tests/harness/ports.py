"""Ports for processes that are to be found at neighbouring ones."""

from __future__ import annotations

import random
import socket


def neighbouring_ports(count: int) -> int:
    """The first of some neighbouring ports that are free, below those that the kernel gives out by itself.

    The search begins anywhere, for other tests may look for some at the same time.
    """
    places = list(range(21_000, 29_000, count))
    random.shuffle(places)
    for first in places:
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")
