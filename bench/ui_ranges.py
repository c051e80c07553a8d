"""CPU time of one open overview by range: `python -m bench.ui_ranges DATA [--seconds 60] [--hours 1 24 720]`.

DATA is a directory that bench/audit_fill.py has filled, and no pages may run on it. For each range one page follows
the overview; `clickhouse s` and `pages s` are the CPU seconds that the two processes used in that time.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from urllib.request import Request, urlopen

from rich.console import Console

from bench.ui_load import cpu_seconds
from streams.cli.console import table
from streams.ui.operator.guard import OPERATOR_COOKIE
from tests.harness.served_pages import OperatorPages, served_pages


def processes(pages: OperatorPages) -> dict[str, int]:
    """Return the process ids of the pages and of their ClickHouse."""
    tasks = Path(f"/proc/{pages.pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    (clickhouse,) = (pid for pid in children if "clickhouse_server" in Path(f"/proc/{pid}/cmdline").read_text())
    return {"pages": pages.pid, "clickhouse": clickhouse}


def follow(pages: OperatorPages, hours: str, seconds: float) -> int:
    """Follow the overview for some seconds, and return how often it was sent."""
    address = f"{pages.origin}/live?fragments=overview&hours={hours}"
    request = Request(address, headers={"Cookie": f"{OPERATOR_COOKIE}={pages.token}"})  # noqa: S310
    sent = 0
    with urlopen(request) as response:  # noqa: S310
        ends = threading.Timer(seconds, response.fp.raw._sock.shutdown, [2])
        ends.start()
        while line := response.readline():
            sent += line == b"event: overview\n"
    return sent


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--hours", nargs="+", default=["1", "24", "168", "720"])
    given = parser.parse_args()
    data, rows = given.data.resolve(), []
    with served_pages(data, data / "pipeline.toml") as pages:
        follow(pages, "1", 5.0)
        for hours in given.hours:
            time.sleep(5.0)
            before = {name: cpu_seconds(pid) for name, pid in processes(pages).items()}
            sent = follow(pages, hours, given.seconds)
            used = [cpu_seconds(pid) - before[name] for name, pid in processes(pages).items()]
            rows.append((hours, sent, *(f"{one:.2f}" for one in used)))
        names = [f"{name} s" for name in processes(pages)]
    Console().print(table(["hours", "sent", *names], rows))


if __name__ == "__main__":
    main()
