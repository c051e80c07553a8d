"""The Sankey diagram: widths in proportion, nothing outside the picture, and links that meet their nodes."""

from __future__ import annotations

import itertools
import re

from streams.ui.flow_layout import FlowStop
from streams.ui.sankey import HEIGHT, NARROW_WIDTH, narrow_sankey, sankey

START = FlowStop(0, 0, "start", "start")
LEFT, RIGHT = FlowStop(1, 0, "a", "a", "worker"), FlowStop(1, 1, "b", "b", "rest")


def widths(drawn: str) -> list[float]:
    return [float(one) for one in re.findall(r'stroke-width="([\d.]+)"></path><path', drawn)]


def test_links_are_as_wide_as_what_flows() -> None:
    small, large = sorted(widths(sankey("A flow.", [((START, LEFT), 100), ((START, RIGHT), 300)], ("from", "to"))))
    assert abs(large / small - 3) < 0.01


def test_ways_that_share_a_link_are_added_up() -> None:
    ways = [((START, LEFT), 100), ((START, LEFT), 50), ((START, RIGHT), 150), ((START, RIGHT), 0)]
    assert len(set(widths(sankey("A flow.", ways, ("from", "to"))))) == 1


def test_every_node_stays_in_the_picture_and_apart_from_the_next() -> None:
    ends = [FlowStop(1, rank, f"end {rank}", f"end {rank}") for rank in range(8)]
    drawn = sankey("A flow.", [((START, end), 10**rank) for rank, end in enumerate(ends)], ("from", "to"))
    boxes = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', drawn)
    column = sorted((float(y), float(y) + float(height)) for x, y, height in boxes if float(x) > 0)
    assert len(column) == 8
    assert column[-1][1] <= HEIGHT
    assert all(top > bottom for (_, bottom), (top, _) in itertools.pairwise(column))


def test_the_narrow_diagram_keeps_its_nodes_in_its_width_and_names_them_in_their_order() -> None:
    ends = [FlowStop(1, rank, f"end {rank}", f"end {rank}") for rank in range(40)]
    drawn = narrow_sankey("A flow.", [((START, end), 1 + rank) for rank, end in enumerate(ends)], ("from", "to"))
    boxes = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', drawn)
    row = sorted({(float(x), float(x) + float(width)) for x, y, width in boxes if float(y) > 40})
    assert len(row) == 40
    assert row[-1][1] <= NARROW_WIDTH
    assert all(left > right for (_, right), (left, _) in itertools.pairwise(row))
    assert re.findall(r"end\u00a0(\d+)\u00a0", drawn) == [str(rank) for rank in range(40)]


def test_no_words_of_the_narrow_diagram_lie_on_a_link() -> None:
    ways = [((START, end, FlowStop(2, 0, "all", "all")), 5) for end in (LEFT, RIGHT)]
    drawn = narrow_sankey("A flow.", ways, ("from", "by", "to"))
    links = [(float(top), float(end)) for top, end in re.findall(r'd="M\S+ (\S+)C[^"]* (\S+)" stroke', drawn)]
    texts = [float(y) for y in re.findall(r'<text x="4" y="([\d.]+)"', drawn)]
    assert len(links) == 8
    assert len(texts) == 6
    assert not [y for y in texts for top, end in links if top < y - 10 < end or top < y + 3 < end]
