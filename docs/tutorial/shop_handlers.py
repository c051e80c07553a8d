"""The worker and the reasoner of the tutorial: two functions that read how many tools a letter orders."""

import re

from streams import Answer, Refusal, Task

NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
NUMBER = re.compile(rf"\b(?:\d+|{'|'.join(NUMBERS)})\b", re.IGNORECASE)


def number(text: str) -> int:
    return NUMBERS.get(text.lower()) or int(text)


def first_number(task: Task) -> Answer | Refusal:
    """Take the first number. The more numbers and words, the less sure."""
    found = NUMBER.findall(task.text)
    if not found:
        return Refusal("missing_information", "no number in the letter")
    confidence = 1 / (0.7 + 0.3 * len(found) + 0.01 * len(task.text.split()))
    return Answer({"quantity": number(found[0])}, confidence=round(confidence, 3))


def careful(task: Task) -> Answer | Refusal:
    """Leave out measures, earlier orders and what the letter takes back, then take the first number."""
    rest = re.sub(r"\b\S+ mm\b|(?i:last time) [^;]*;|(?i:not) \S+ but", "", task.text)
    found = NUMBER.findall(rest)
    return Answer({"quantity": number(found[0])}) if found else Refusal("missing_information", "no number is ordered")
