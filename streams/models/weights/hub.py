"""Weights from the publisher's hub over HTTP, resumed where an earlier attempt stopped."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import httpx2

from streams.models.weights.sources import CHUNK, Hub, Progress, SourceFailedError, size_of

ATTEMPTS = 3
READ_SECONDS = 30.0


def from_hub(hub: Hub, size: int, partial: Path, on_progress: Progress) -> Path:
    """Fetch the file of `size` bytes into `partial`. Raises SourceFailedError; what arrived stays."""
    limits = httpx2.Timeout(READ_SECONDS, connect=hub.answer_seconds)
    with httpx2.Client(timeout=limits, follow_redirects=True) as client:
        for attempt in range(1, ATTEMPTS + 1):
            before = size_of(partial)
            try:
                if before < size:
                    _append(client, hub, size, partial, on_progress)
                break
            except httpx2.HTTPError as error:
                # A hub that gave something before it broke off may give the rest.
                if attempt == ATTEMPTS or size_of(partial) == before:
                    raise SourceFailedError(f"{type(error).__name__} {error}".strip()) from error
    return partial


def _append(client: httpx2.Client, hub: Hub, size: int, partial: Path, on_progress: Progress) -> None:
    headers = {"Range": f"bytes={size_of(partial)}-", "Accept-Encoding": "identity"}
    response = _answer_in_time(client, client.build_request("GET", hub.url, headers=headers), hub)
    try:
        done = _start(response, size_of(partial))
        if done + int(response.headers.get("Content-Length", size - done)) != size:
            raise SourceFailedError(f"offers a file that is not {size} bytes long")
        with partial.open("r+b" if done else "wb") as file:
            file.seek(done)
            for chunk in response.iter_bytes(CHUNK):
                done += file.write(chunk[: size - done])
                on_progress(done, size)
    finally:
        response.close()


def _start(response: httpx2.Response, wished: int) -> int:
    """The position in the file at which the answer begins."""
    if response.status_code == 200:
        return 0
    if response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {wished}-"):
        return wished
    raise SourceFailedError(f"answered HTTP {response.status_code}")


def _answer_in_time(client: httpx2.Client, request: httpx2.Request, hub: Hub) -> httpx2.Response:
    """Send the request and give up after the hub's time, name resolution and redirects included.

    The client's own limits hold for each step by itself, and none holds for name resolution.
    """
    answers: queue.SimpleQueue[httpx2.Response | httpx2.HTTPError] = queue.SimpleQueue()

    def send() -> None:
        try:
            answers.put(client.send(request, stream=True))
        except httpx2.HTTPError as error:
            answers.put(error)
        except RuntimeError:  # the client was closed after the caller had given up
            return

    threading.Thread(target=send, daemon=True).start()
    try:
        answer = answers.get(timeout=hub.answer_seconds)
    except queue.Empty:
        raise SourceFailedError(f"did not answer within {hub.answer_seconds:g} s") from None
    if isinstance(answer, httpx2.HTTPError):
        raise answer
    return answer
