"""The support desk's Python: two handlers, two checks of a worker's answer, and the rule for two equal orders."""

import re
from collections.abc import Mapping
from typing import Any

from streams import Answer, Refusal, Task

UNLABELLED = {"a", "an", "and", "aus", "in", "of", "one", "pair", "pairs", "size", "the"}
"""Words that say nothing about a product."""
BETWEEN = {"of", "pair", "pairs", "the", "tins"}
"""Words that may come between a quantity and its product."""
NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "ein": 1, "eine": 1, "zwei": 2}
PRODUCTS = (
    "tent|zelt|rucksack|pack|boots|socks|gaiters|jacket|trousers|beanie|stov|torch|canister|hering|wax|mug|bag|poles"
)
HINTS: Mapping[str, str] = {
    "opening-hours": r"open|hours|close|sunday|saturday|geöffnet",
    "address": r"park|where|address|find you|wo ",
    "dogs": r"\bdogs?\b|hund",
    "shipping-uk": r"shipping|delivery|postage|express",
    "shipping-eu": r"ship|deliver|versand|liefer|post",
    "change-order": r"cancel|change|stornier|änder",
    "returns": r"return|send .*back|bring .*back|zurück",
    "refund-time": r"refund|money|geld",
    "warranty": r"warranty|covered|broke|broken|snapped|torn|split|garantie",
    "wash-down": r"down\b|daune|sleeping bag",
    "clean-boots": r"boots|stiefel",
    "payment": r"\bpay|paypal|card|cash|invoice|zahl",
    "gift-cards": r"gift|voucher|gutschein",
    "no-rental": r"\bhire|\brent|leih",
    "no-price-match": r"match|cheaper|less|price elsewhere",
}
"""For each entry of knowledge.md, words of which a message about it has at least one."""


def is_photo(task: Task) -> str | None:
    """Find a photo in every image. A listener."""
    return "photo" if task.image else None


def file_photo(task: Task) -> Answer | Refusal:
    """File a photo under its content's hash, with the customer's words. A worker."""
    if task.image is None:
        return Refusal("missing_information", "there is no photo")
    return Answer({"filed_as": f"photos/{task.image[:12]}", "caption": task.text})


def leave_to_people(task: Task) -> Refusal:  # noqa: ARG001 - it reads nothing
    """Refuse what is about health, a threat, or the data of others. A reasoner."""
    return Refusal("policy", "people answer what is about health, threats, or the data of others")


def on_topic(task: Task, answer: Answer) -> float:
    """Return 0 if the message has none of the words that belong to the chosen entry, else 1."""
    return float(bool(re.search(HINTS[answer.value["entry"]], task.text or "", re.I)))


def copied_from_message(task: Task, answer: Answer) -> float:
    """Return 0 if a product, a quantity or the address of an order is not in the message, else 1."""
    text = _plain(task.text or "")
    items = answer.value["items"]
    named = re.findall(PRODUCTS, text)
    return float(
        all(_quantity_is_copied(text, item) for item in items)
        and len({*named}) <= len(items)
        and _address_is_copied(text, _plain(answer.value["address"]))
    )


def _quantity_is_copied(text: str, item: Mapping[str, Any]) -> bool:
    """True if the item names a product of the shop, in the message's words, directly after its quantity."""
    name = _plain(item["item"])
    if not re.search(PRODUCTS, name) or not set(name.split()) <= set(text.split()):
        return False
    for word in reversed(text[: text.index(name.split()[0])].split()):
        if word.isdigit() or word in NUMBERS:
            return bool(item["quantity"] == (int(word) if word.isdigit() else NUMBERS[word]))
        if word not in BETWEEN:
            return False
    return False


def _address_is_copied(text: str, address: str) -> bool:
    """True if the message has the address as a whole, with a house number, and it ends with a post code or a town."""
    return address in text and bool(re.search(r"\d", address)) and bool(re.search(r"\d\w\w$|\b\d{5} \w+$", address))


def same_order(answer: Any, label: Any) -> bool:
    """True if two orders have the same address, and the same quantities of products with the same words."""
    return _order(answer) == _order(label)


def _order(order: Any) -> tuple[object, ...]:
    items = sorted((_words(item["item"]), item["quantity"]) for item in order["items"])
    return (_plain(order["address"]), *items)


def _words(text: str) -> tuple[str, ...]:
    return tuple(sorted(set(_plain(text).split()) - UNLABELLED))


def _plain(text: str) -> str:
    """Return the words of a text in small letters with single spaces, without punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))
