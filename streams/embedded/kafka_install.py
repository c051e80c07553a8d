"""Download the jars of Apache Kafka once, with Maven."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from streams.core.errors import ConfigError, ServiceError

_VERSION = re.compile(r"<kafka\.version>\s*([\w.-]+)\s*</kafka\.version>")
_BROKER_JAR: Final = "kafka_2.13-{version}.jar"


def kafka_version(resources: Path) -> str:
    """Return the version of Apache Kafka that pom.xml in `resources`, the directory infra/kafka, pins."""
    pom = resources / "pom.xml"
    try:
        found = _VERSION.search(pom.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{pom} cannot be read: {error.strerror}.", "Reinstall escalon.") from error
    if found is None:
        raise ConfigError(f"{pom} has no kafka.version.", "Reinstall escalon.")
    return found[1]


def installed(cache_dir: Path, resources: Path) -> Path | None:
    """Return the home of the pinned Kafka version in `cache_dir`, None if it is not installed."""
    home = cache_dir / f"kafka-{kafka_version(resources)}"
    return home if (home / "libs").is_dir() else None


def install(cache_dir: Path, on_line: Callable[[str], None], resources: Path) -> Path:
    """Create `cache_dir`/kafka-VERSION/libs completely or not at all, and return kafka-VERSION.

    `on_line` gets the name of each downloaded jar, but not of those in Maven's cache. Raises `ServiceError` if Java or
    Maven is missing or the download fails.
    """
    version, cache_dir = kafka_version(resources), cache_dir.absolute()  # Maven resolves relative paths against the pom
    if home := installed(cache_dir, resources):
        on_line(f"Apache Kafka {version} is already installed: {home}")
        return home
    maven = _program("mvn", "Maven", "apt install maven")
    java_program()
    cache_dir.mkdir(parents=True, exist_ok=True)
    with _alone_in(cache_dir, on_line):
        if home := installed(cache_dir, resources):  # another process was first
            return home
        with tempfile.TemporaryDirectory(prefix=".kafka-", dir=cache_dir) as scratch:
            draft = Path(scratch) / f"kafka-{version}"
            _download(maven, resources / "pom.xml", draft / "libs", on_line)
            if not (draft / "libs" / _BROKER_JAR.format(version=version)).is_file():
                raise ServiceError(f"Maven succeeded, but the broker {version} is missing.", "Reinstall escalon.")
            home = draft.rename(cache_dir / draft.name)
    on_line(f"Apache Kafka {version} is installed: {home}")
    return home


@contextmanager
def _alone_in(directory: Path, on_line: Callable[[str], None]) -> Iterator[None]:
    """Wait for another process that installs into the same directory, because Maven's cache does not allow two."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_line("Another process is installing Apache Kafka; waiting for it.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def java_program() -> str:
    """Return the path of `java`; raise `ServiceError` if there is none."""
    return _program("java", "Java 17 or later", "apt install openjdk-17-jre-headless")


def _program(name: str, called: str, remedy: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ServiceError(f"{called} is needed, but `{name}` is not on the PATH.", f"Try: {remedy}")
    return path


def _download(maven: str, pom: Path, libs: Path, on_line: Callable[[str], None]) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={libs}"]
    command = [maven, "--batch-mode", "--strict-checksums", "--file", str(pom), *goal]
    last: deque[str] = deque(maxlen=15)
    with subprocess.Popen(  # noqa: S603 - no shell; the pom is the package's own
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            last.append(line.rstrip())
            if found := re.search(r"Downloaded from \S+: \S+/([^/\s]+\.jar)", line):
                on_line(found[1])
    if process.returncode != 0:
        tail = "".join(f"\n    {line}" for line in last)
        raise ServiceError(
            f"Maven could not download Apache Kafka (exit code {process.returncode}):{tail}",
            "\nCheck the network or the mirror in Maven's settings.xml, then run it again.",
        )
