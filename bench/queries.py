"""The speed of the named queries on an audit of 1,000,000 calls: `python -m bench.queries`.

Asks every named query three times about the audit of bench/audit_fill.py and prints the median. Exits with 1 if one
takes longer than LIMIT_SECONDS.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.audit_fill import EVENTS, filled
from streams.audit.named_queries import NamedQuery, library
from streams.audit.query import Audit
from streams.cli.console import table
from streams.core.errors import EscalonError

LIMIT_SECONDS = 2.0


def seconds_of(audit: Audit, query: NamedQuery, given: dict[str, Any], times: int) -> list[float]:
    """Return the seconds that each run of a query took."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        audit.named(query.name, **given)
        taken.append(time.perf_counter() - begun)
    return taken


def main() -> int:
    """Measure, print, and say by the exit code whether all are fast enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a directory to keep the audit in, for the next time")
    parser.add_argument("names", nargs="*", help="these queries alone")
    given = parser.parse_args()
    out = Console()
    with tempfile.TemporaryDirectory() as made, filled(given.events, given.keep or Path(made)) as config:
        audit = Audit(config)
        count = "SELECT (SELECT count() FROM calls) AS calls, (SELECT count() FROM calls_rows) AS rows"
        print(audit.query(count).records()[0])
        rows = []
        for query in library().values():
            if given.names and query.name not in given.names:
                continue
            parameters = {"event_id": "mail-0000077"} if "event_id" in query.parameters else {}
            try:
                taken = seconds_of(audit, query, parameters, given.times)
            except EscalonError as error:
                print(query.name, error)
                taken = [float("inf")]
            rows.append((query.name, statistics.median(taken), max(taken)))
        audit.close()
    out.print(table(["query", "median s", "slowest s"], rows))
    late = [name for name, median, _ in rows if median > LIMIT_SECONDS]
    print(f"over {LIMIT_SECONDS} s: {', '.join(late) or 'none'}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
