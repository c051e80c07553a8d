"""The support desk's checks of a worker's answer, and its rule for two equal orders."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from streams import Answer, Task

PACK = Path(__file__).parents[2] / "streams" / "demo" / "pack"
sys.path.insert(0, str(PACK))
desk = importlib.import_module("desk")
sys.path.remove(str(PACK))

TEXT = "Hi! 2 Lark 2 tents and one Ember stove, please. To: Scout Hut, 1 Church Lane, Dunmore QX6 2PP. Tom"
ADDRESS = "Scout Hut, 1 Church Lane, Dunmore QX6 2PP"


def order(*items: tuple[int, str], address: str = ADDRESS) -> dict[str, Any]:
    return {"items": [{"quantity": quantity, "item": item} for quantity, item in items], "address": address}


RIGHT = order((2, "Lark 2 tents"), (1, "Ember stove"))


def test_an_order_in_the_messages_own_words_passes() -> None:
    assert desk.copied_from_message(Task(text=TEXT), Answer(RIGHT)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        order((3, "Lark 2 tents"), (1, "Ember stove")),
        order((2, "Lark 2 tents"), (1, "Ember lamp")),
        order((2, "Lark 3 tents"), (1, "Ember stove")),
        order((2, "Lark 2 tents")),
        order((2, "Lark 2 tents"), (1, "Ember stove"), address="Tom, 1 Church Lane, Dunmore QX6 2PP"),
        order((2, "Lark 2 tents"), (1, "Ember stove"), address=f"{ADDRESS}. Tom"),
        order((2, "Lark 2 tents"), (1, "Ember stove"), address="Scout Hut, 1 Church Lane"),
    ],
)
def test_a_quantity_product_or_address_that_is_not_in_the_message_is_found(wrong: dict[str, Any]) -> None:
    assert desk.copied_from_message(Task(text=TEXT), Answer(wrong)) == 0
    assert not desk.same_order(wrong, RIGHT)


def test_two_orders_are_equal_but_for_the_order_of_items_and_of_words() -> None:
    assert desk.same_order(order((1, "the Ember stove"), (2, "tents, Lark 2")), RIGHT)


@pytest.mark.parametrize(
    ("text", "entry", "found"), [("do you hire out tents", "no-rental", 1), ("my tent broke", "payment", 0)]
)
def test_an_entry_needs_one_of_its_words_in_the_message(text: str, entry: str, found: float) -> None:
    assert desk.on_topic(Task(text=text), Answer({"entry": entry})) == found


def test_every_entry_of_the_knowledge_has_words_of_its_own() -> None:
    lines = (PACK / "knowledge.md").read_text("utf-8").splitlines()
    assert [line.split(":")[0] for line in lines] == list(desk.HINTS)
