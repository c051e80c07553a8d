from __future__ import annotations

import xml.etree.ElementTree as ET
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streams.pipeline.load import Pipeline, load_pipeline
from streams.ui.operator.picture import Place, picture_of
from streams.ui.operator.picture_layout import laid_out
from streams.ui.operator.picture_svg import after_words, narrow, wide
from streams.ui.operator.place_counts import PlaceCounts

FILE = """
name = "shop"
[models.small]
provider = "claude"
model = "claude-haiku-4-5"
[models.large]
provider = "claude"
model = "claude-opus-5-5"
[listeners.obvious]
kind = "rules"
rules = { thanks = ["^thanks"], order = ["order"] }
[listeners.topic]
kind = "language-model"
model = "small"
labels = ["question", "poem"]
[routes]
thanks = "ignore"
order = "workers.extract"
question = "workers.answer"
poem = "reasoners.resolve"
unsure = "workers.answer"
[workers.extract]
task = "extract"
model = "small"
[workers.answer]
task = "answer"
model = "small"
fallback = "large"
confidence = "verbalized"
threshold = 0.75
explore = 0.02
[reasoners.resolve]
task = "resolve"
model = "large"
[budgets.worker]
usd_per_day = 5
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    file = tmp_path_factory.mktemp("pipeline") / "pipeline.toml"
    file.write_text(FILE, "utf-8")
    return load_pipeline(file)


def row(place: str, name: str, events: int, **more: Any) -> dict[str, Any]:
    return {
        "place": place,
        "name": name,
        "via": "",
        "events": events,
        "escalated": None,
        "failed": None,
        "usd": None,
    } | more


ROWS = [
    row("listener", "obvious", 1000, failed=0),
    row("intent", "question", 600, via="work answer"),
    row("worker", "answer", 600, escalated=150, failed=3, usd=Decimal("4.80")),
    row("reasoner", "resolve", 150, failed=0, usd=Decimal("3.15")),
    row("outcome", "answered", 400, via="worker"),
    row("outcome", "answered", 150, via="reasoner"),
]


def places(pipeline: Pipeline, rows: list[dict[str, Any]]) -> dict[str, Place]:
    return {place.key: place for column in picture_of(pipeline, PlaceCounts.of(rows), 2) for place in column.places}


def test_each_place_says_what_the_file_decides_about_it(pipeline: Pipeline) -> None:
    known = places(pipeline, [])
    assert known["worker answer"].lines == (
        "claude-haiku-4-5", "fallback claude-opus-5-5", "threshold 0.75 by verbalized", "explores 2.0 % of its answers",
    )  # fmt: skip
    assert known["worker extract"].lines == ("claude-haiku-4-5", "no threshold: accepts every answer")
    assert known["listener obvious"].lines == ("rules",)


def test_ways_lead_from_each_place_to_what_may_follow(pipeline: Pipeline) -> None:
    known = places(pipeline, [])
    assert known["listener obvious"].next == (
        ("intent thanks", ""), ("intent order", ""), ("intent unsure", "nothing"),
    )  # fmt: skip
    assert known["intent question"].next == (("worker answer", ""),)
    assert known["intent poem"].next == (("reasoner resolve", ""),)
    assert known["intent thanks"].next == (("outcome ignored", ""),)
    assert known["worker answer"].next == (("outcome answered", ""), ("reasoner resolve", "escalates"))
    assert known["reasoner resolve"].next == (("outcome answered", ""), ("outcome failed", "fails"))


def test_a_worker_without_a_reasoner_fails(tmp_path: Path) -> None:
    text = FILE.replace('poem = "reasoners.resolve"', 'poem = "ignore"')
    before, _, after = text.partition("[reasoners.resolve]")
    file = tmp_path / "pipeline.toml"
    file.write_text(before + "[budgets" + after.partition("[budgets")[2], "utf-8")
    known = places(load_pipeline(file), [])
    assert known["worker answer"].next == (("outcome answered", ""), ("outcome failed", "fails"))


def test_every_way_is_drawn_from_column_to_column_and_crosses_no_box(pipeline: Pipeline) -> None:
    columns = picture_of(pipeline, PlaceCounts.of(ROWS), 0)
    nodes, edges = laid_out(columns, lambda *_: 50.0)
    assert all(edge.end.column == edge.start.column + 1 for edge in edges)
    for place in (node.place for node in nodes if node.place is not None):
        ends = {edge.end for edge in edges if edge.start.place is place}
        while lanes := {end for end in ends if end.place is None}:
            ends = (ends - lanes) | {edge.end for edge in edges if edge.start in lanes}
        assert {end.place.key for end in ends if end.place} == {way.key for way in place.next}
    for number in range(len(columns)):
        stack = sorted((node.y, node.y + node.height) for node in nodes if node.column == number)
        assert all(above[1] < below[0] for above, below in pairwise(stack))


def test_what_follows_a_place_is_said_in_words(pipeline: Pipeline) -> None:
    known = places(pipeline, [])
    titles = {key: place.title for key, place in known.items()}
    assert list(after_words(known["worker answer"], titles)) == ["answered", "resolve, if refused, unsure or failed"]
    assert list(after_words(known["intent thanks"], titles)) == ["ignored"]


def test_a_route_that_skips_a_tier_says_so(pipeline: Pipeline) -> None:
    known = places(pipeline, [])
    assert known["intent poem"].lines == ("past the workers: resolve",)
    assert known["intent thanks"].lines == ("ends here, no model asked",)
    assert known["intent order"].lines == ()


def test_figures_of_the_audit_are_in_words(pipeline: Pipeline) -> None:
    known = places(pipeline, ROWS)
    assert known["worker answer"].counted == "600 events · 25 % escalated · 3 failed · $4.80"
    assert known["outcome answered"].counted == "550 events"
    assert known["worker extract"].counted == "no event"
    assert known["outcome dead letters"].counted == "2 messages"


@pytest.mark.parametrize("drawing", [wide, narrow])
def test_both_drawings_are_well_formed_and_name_every_place(pipeline: Pipeline, drawing: Any) -> None:
    columns = picture_of(pipeline, PlaceCounts.of(ROWS), 0)
    root = ET.fromstring(str(drawing(columns, lambda place: f"/search?handler={place.title}&x=1")))  # noqa: S314
    names = [text.text for text in root.iter("text") if text.get("class") == "name"]
    texts = [text.text or "" for text in root.iter("text")]
    assert names == [place.title for column in columns for place in column.places]
    assert not any("…" in text for text in texts)
    width = float(root.get("viewBox", "").split()[2])
    assert all(float(box.get("x", 0)) + float(box.get("width", 0)) <= width for box in root.iter("rect"))


def test_text_of_the_file_is_escaped(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text(FILE.partition("[budgets")[0].replace("claude-opus-5-5", "<script>alert(1)</script>"), "utf-8")
    drawn = wide(picture_of(load_pipeline(file), PlaceCounts.of([]), 0), lambda _: "")
    assert "<script" not in drawn
    assert "&lt;script&gt;" in drawn
