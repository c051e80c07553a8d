"""Images on a real broker: what only looks alike is read, and a true copy is found."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from bench.duplicates_images import encoded, invoice, logo, receipt, resized
from tests.harness.journey import Journey, running_journey

pytestmark = pytest.mark.embedded

PIPELINE = Path(__file__).parent / "images"
REFUND = "Where is my refund?"
EVENTS: tuple[tuple[str, str, str, bytes], ...] = (
    # id           text     what becomes of it   image
    ("invoice-1",  "",      "answered by file",  encoded(invoice(1), "JPEG", quality=85)),
    ("invoice-2",  "",      "answered by file",  encoded(invoice(2), "JPEG", quality=85)),
    ("invoice-3",  "",      "answered by file",  encoded(invoice(3), "JPEG", quality=85)),
    ("copy",       "",      "duplicate",         encoded(resized(invoice(2), 0.67), "JPEG", quality=60)),
    ("receipt-1",  "",      "answered by file",  encoded(receipt(1), "JPEG", quality=85)),
    ("receipt-2",  "",      "answered by file",  encoded(receipt(2), "JPEG", quality=85)),
    ("white",      "",      "answered by file",  encoded(Image.new("RGB", (300, 200), "white"), "PNG")),
    ("grey",       "",      "answered by file",  encoded(Image.new("RGB", (600, 400), (90, 90, 90)), "JPEG")),
    ("black",      "",      "answered by file",  encoded(Image.new("L", (300, 200), 0), "PNG")),
    ("logo",       "",      "answered by file",  encoded(logo(3), "PNG")),
    ("refund",     REFUND,  "answered by answer", encoded(logo(3), "PNG")),
    ("refund-2",   REFUND,  "duplicate",         encoded(logo(3), "JPEG", quality=80)),
)  # fmt: skip


@contextmanager
def running(duplicate: str, data: Path, home: Path | None) -> Iterator[Journey]:
    """The pipeline of this test, with a route for duplicates."""
    shutil.copytree(PIPELINE, data / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    file = data / "pipeline" / "pipeline.toml"
    file.write_text(file.read_text().replace("DUPLICATE", duplicate))
    with running_journey(file, data, home) as journey:
        yield journey


def ends(journey: Journey) -> dict[str, str]:
    """The end of each event, published in three waves: bare images, the one with words, and the copies of both."""
    copies = {event_id for event_id, _, end, _ in EVENTS if end == "duplicate"}
    worded = {event_id for event_id, text, *_ in EVENTS if text} - copies
    bare = {event_id for event_id, *_ in EVENTS} - copies - worded
    found = {}
    for wave in (bare, worded, copies):
        with journey.publisher() as publisher:
            for event_id, text, _, image in EVENTS:
                if event_id in wave:
                    publisher.publish(text, id=event_id, image=image)
        ended = journey.outcomes(wave)
        for event_id in wave:
            (outcome,) = ended[event_id]
            found[event_id] = outcome.state + (f" by {outcome.handler}" if outcome.tier != "listener" else "")
    return found


def test_what_looks_alike_is_read_and_a_true_copy_is_a_duplicate(tmp_path: Path, kafka_home: Path) -> None:
    with running("ignore", tmp_path, kafka_home) as journey:
        assert ends(journey) == {event_id: end for event_id, _, end, _ in EVENTS}
        sql = "SELECT event_id, duplicate_of FROM verdicts WHERE duplicate_of IS NOT NULL ORDER BY event_id"
        rows = journey.query(sql, until=lambda rows: len(rows) == 2)
        assert rows == [
            {"event_id": "copy", "duplicate_of": "invoice-2"},
            {"event_id": "refund-2", "duplicate_of": "refund"},
        ]


def test_duplicates_can_be_routed_to_a_worker(tmp_path: Path) -> None:
    with running("workers.repeat", tmp_path, None) as journey:
        expected = {event_id: end.replace("duplicate", "answered by repeat") for event_id, _, end, _ in EVENTS}
        assert ends(journey) == expected
