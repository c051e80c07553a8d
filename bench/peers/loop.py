"""The frame of a bare loop, which answers each record of a topic with the same messages until it is killed."""

from __future__ import annotations

from base64 import b64decode
from typing import NamedTuple

from bench.peers.peer import given


class Loop(NamedTuple):
    """The broker, the topics, and the values that each record causes."""

    servers: str
    source: str
    target: str
    values: tuple[bytes, ...]


def loop() -> Loop:
    """Return the argument of the program."""
    argument = given()
    values = tuple(map(b64decode, argument["values"]))
    return Loop(argument["kafka"], argument["source"], argument["target"], values)
