"""Write the rows of the tutorial: letters to a shop for tools. The same rows every time."""

import json
import random
import sys
from pathlib import Path

WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}
TOOLS = ["drills", "hammers", "saws", "clamps", "files", "ladders", "trowels", "chisels", "pliers", "wrenches"]
PLACES = ["the workshop", "our branch in Leeds", "the school", "my home", "the yard", "the site office"]
PLAIN = [
    "Please send {n} {tool} to {place}.",
    "We need {word} {tool} for {place}, please.",
    "I would like to order {n} {tool}. Deliver them to {place}.",
    "Could you bring {word} {tool} to {place} this week?",
    "{n} {tool} for {place}.",
]
TRICKY = [
    "Please send {n} {tool} of {other} mm to {place}.",
    "Last time we bought {other} {tool}; now send {n} to {place}.",
    "Not {other} but {n} {tool} for {place}, please.",
]
OTHER = [
    "Is {place} open on Sunday, or only the shop in town?",
    "I ordered {n} {tool} and got {other}.",
    "One of the {n} {tool} for {place} broke on the first day.",
    "Thank you for the {tool}, all {word} work well.",
    "What would {n} {tool} cost?",
    "Do you rent out {tool} to {place} for {n} days?",
    "{n} {tool} for {place}.",
]
GREETINGS = ["Hello, ", "Good morning. ", "Dear team, ", ""]
NAMES = ["Ann", "Ben", "Cleo", "Dev", "Ed", "Fay", "Gus", "Ida"]


def letter(rng: random.Random) -> tuple[str, str, int | None]:
    """Return a letter, its intent, and the ordered quantity."""
    n, other = rng.sample(list(WORDS), 2)
    kind, share = rng.random(), {"other": 0.3, "tricky": 0.5}
    templates = OTHER if kind < share["other"] else TRICKY if kind < share["tricky"] else PLAIN
    said = rng.choice(templates).format(
        n=n, word=WORDS[n], other=other, tool=rng.choice(TOOLS), place=rng.choice(PLACES)
    )
    said = f"{rng.choice(GREETINGS)}{said} {rng.choice(NAMES)}"
    return (said, "other", None) if templates is OTHER else (said, "order", n)


def letters(rng: random.Random, count: int, seen: set[str]) -> list[tuple[str, str, int | None]]:
    """Return different letters, none of them seen before."""
    found = []
    while len(found) < count:
        one = letter(rng)
        if one[0] not in seen:
            seen.add(one[0])
            found.append(one)
    return found


def write(name: str, rows: list[dict[str, object]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    sys.stdout.write(f"{name}: {len(rows)} rows\n")


rng, seen = random.Random(1), set()
write("intents.jsonl", [{"text": text, "label": intent} for text, intent, _ in letters(rng, 200, seen)])
march = [(f"march-{number:03}", *one) for number, one in enumerate(letters(rng, 300, seen), start=1)]
write("march.jsonl", [{"id": name, "text": text} for name, text, _, _ in march])
write("labels.jsonl", [{"event_id": name, "label": {"quantity": n}} for name, _, _, n in march if n])
