"""The cost of redaction: microseconds of CPU for a text of some characters, with and without something to hide.

python -m bench.redaction [--characters 1200] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from streams.core.redaction.detectors import BUILT_IN
from streams.core.redaction.policy import RedactionPolicy

WORDS = (
    "Dear team, the tent that I ordered in spring has a hole near the entrance, and the zip is stuck as well. Could "
    "you let me know if it can be repaired, or how long a new one takes? I am away for a week in August. "
)
SECRETS = "Call +49 30 1234567 or write to jo@example.org; my card is 4111 1111 1111 1111. "
ROUNDS, CALLS = 9, 200


def texts(characters: int) -> dict[str, str]:
    """The texts to measure, by what they are."""
    plain = (WORDS * (characters // len(WORDS) + 1))[:characters]
    fields = {f"field_{number}": WORDS[: max(1, characters // 10 - 14)] for number in range(10)}
    return {
        "prose, nothing to hide": plain,
        "prose, three things to hide": plain[: characters - len(SECRETS)] + SECRETS,
        "JSON of ten fields, nothing to hide": json.dumps(fields),
        "JSON of ten fields, three things to hide": json.dumps(fields | {"field_9": SECRETS}),
    }


def microseconds(work: Callable[[], object]) -> float:
    """The median of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(CALLS):
            work()
        rounds.append((time.process_time() - started) / CALLS * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--characters", type=int, default=1200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    policy = RedactionPolicy(id="bench", detectors=tuple(BUILT_IN.values()))
    found = {name: microseconds(lambda text=text: policy.text(text)) for name, text in texts(asked.characters).items()}  # type: ignore[misc]
    if asked.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:45} {value:8.1f} µs")


if __name__ == "__main__":
    main()
