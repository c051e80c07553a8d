"""Weights from a hub of our own, which speaks as much of Hugging Face's protocol as a download needs."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streams.core.errors import ConfigError, ServiceError
from streams.models.weights import store
from streams.models.weights.store import Weights

CONTENT = bytes(range(256)) * 50_000  # more than the 10 MiB that huggingface_hub writes at once
TINY = Weights("publisher/tiny", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
NAME = "tiny-model"


@dataclass
class FakeHub:
    """A hub with one file, whose faults can be set. `asked` holds the range of each download."""

    content: bytes = CONTENT
    breaks_after: int | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        wish = request.headers.get("Range")
        start = int(wish.removeprefix("bytes=").rstrip("-")) if wish and body else 0
        request.send_response(206 if start else 200)
        request.send_header("X-Repo-Commit", "c" * 40)
        request.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        if body:
            self.asked.append(f"{request.path} {wish or 'whole'}")
            sent, self.breaks_after = self.content[start:][: self.breaks_after], None
            request.wfile.write(sent)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    fake = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            fake.answer(self, body=False)

        def do_GET(self) -> None:
            fake.answer(self, body=True)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(hub: FakeHub, directory: Path) -> Path:
    return store.fetch(NAME, TINY, directory, endpoint=hub.url)


def test_the_hub_gives_the_file(hub: FakeHub, tmp_path: Path) -> None:
    path = fetch(hub, tmp_path)
    assert path == tmp_path / "tiny-model.gguf"
    assert path.read_bytes() == CONTENT
    assert hub.asked == ["/publisher/tiny/resolve/main/tiny-model.gguf whole"]


def test_a_pull_that_broke_off_is_resumed(hub: FakeHub, tmp_path: Path) -> None:
    hub.breaks_after = 12_000_000
    with pytest.raises(ServiceError, match="the part that arrived is kept"):
        fetch(hub, tmp_path)
    assert fetch(hub, tmp_path).read_bytes() == CONTENT
    assert hub.asked[1].endswith(f"bytes={10 << 20}-")


def test_a_mirror_is_named_by_the_environment(hub: FakeHub, tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from streams.models.weights.store import Weights, fetch
fetch({NAME!r}, {TINY!r}, Path({str(tmp_path)!r}))
"""
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "HF_ENDPOINT": hub.url}, check=True)
    assert (tmp_path / "tiny-model.gguf").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"x" + CONTENT[1:], CONTENT + b"more"], ids=["hash", "size"])
def test_another_file_is_deleted_with_an_error(
    hub: FakeHub, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    hub.content = content
    with pytest.raises(ServiceError, match="another size or SHA-256, which was deleted"):
        fetch(hub, tmp_path)
    assert "deleted" in caplog.text
    assert not (tmp_path / "tiny-model.gguf").exists()
    hub.content = CONTENT
    assert fetch(hub, tmp_path).read_bytes() == CONTENT


def test_a_hub_that_cannot_be_reached_is_a_service_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=f"HF_ENDPOINT .* SHA-256 {TINY.sha256}"):
        store.fetch(NAME, TINY, tmp_path, endpoint="http://127.0.0.1:9")


def test_a_file_already_there_is_not_trusted_unless_its_hash_is_right(hub: FakeHub, tmp_path: Path) -> None:
    place = tmp_path / "tiny-model.gguf"
    place.write_bytes(CONTENT[::-1])
    fetch(hub, tmp_path)
    assert place.read_bytes() == CONTENT
    fetch(hub, tmp_path)
    assert len(hub.asked) == 1


def test_two_pulls_at_once_fetch_the_file_once(hub: FakeHub, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        pulls = [pool.submit(fetch, hub, tmp_path) for _ in range(2)]
    assert [pull.result().read_bytes() == CONTENT for pull in pulls] == [True, True]
    assert len(hub.asked) == 1


def test_a_directory_that_cannot_be_written_is_a_service_error(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ServiceError, match="Cannot store"):
        fetch(hub, tmp_path / "file")


def test_only_known_and_pulled_weights_have_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Use one of: qwen2"):
        store.pull("gpt-9", tmp_path)
    name = next(iter(store.KNOWN))
    with pytest.raises(ConfigError, match=f"escalon models pull {name}"):
        store.path_of(name, tmp_path)
    assert store.installed(tmp_path) == {}
