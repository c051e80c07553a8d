"""The list of listening sockets is complete while other files of the process open and close."""

from __future__ import annotations

import os
import socket
from threading import Event, Thread

from tests.harness.secure.sockets import listening


def test_a_listening_socket_is_found_while_other_files_close() -> None:
    ended = Event()
    lower = [socket.socket() for _ in range(20)]  # the kernel lists files by number, and gives a new one the lowest

    def close_and_open() -> None:
        while not ended.is_set():
            for one in lower:
                one.close()
            lower[:] = [socket.socket() for _ in lower]

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        churn = Thread(target=close_and_open)
        churn.start()
        try:
            seen = [port in {found for _, _, found in listening({os.getpid()})} for _ in range(200)]
        finally:
            ended.set()
            churn.join()
            for one in lower:
                one.close()
    assert all(seen)
