from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streams.core.errors import ConfigError, ServiceError
from streams.embedded.kafka_install import install, installed, kafka_version
from streams.packaged_files import resource

POM = "<project><properties><kafka.version>9.9.9</kafka.version></properties></project>"


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    (tmp_path / "pom.xml").write_text(POM)
    return tmp_path


@pytest.fixture
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH that holds nothing but what a test puts there."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    return path


def put(bin_dir: Path, name: str, script: str) -> None:
    (bin_dir / name).write_text(f"#!/bin/sh\n{script}\n")
    (bin_dir / name).chmod(0o755)


FAKE_MAVEN = """
for argument in "$@"; do case "$argument" in -DoutputDirectory=*) out="${argument#*=}";; esac; done
/bin/mkdir -p "$out"
: > "$out/kafka_2.13-9.9.9.jar"
echo "[INFO] Downloaded from central: https://example.org/org/kafka_2.13-9.9.9.jar (1 kB at 1 MB/s)"
"""


def test_the_version_is_read_from_the_pom() -> None:
    assert kafka_version(resource("kafka")).startswith("4.")


def test_a_relative_cache_is_resolved_before_maven_sees_it(
    tmp_path: Path, resources: Path, bin_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_the_pom").mkdir()  # Maven resolves a relative path from there
    put(bin_dir, "java", "exit 0")
    put(bin_dir, "mvn", f"cd {tmp_path / 'of_the_pom'}\n{FAKE_MAVEN}")
    monkeypatch.chdir(tmp_path)
    assert install(Path("cache"), print, resources) == tmp_path / "cache" / "kafka-9.9.9"


def test_a_missing_pom_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pom\.xml cannot be read"):
        kafka_version(tmp_path)


def test_the_jars_are_put_into_the_cache_once(tmp_path: Path, resources: Path, bin_dir: Path) -> None:
    put(bin_dir, "java", "exit 0")
    put(bin_dir, "mvn", FAKE_MAVEN)
    lines: list[str] = []
    cache = tmp_path / "cache"
    home = install(cache, lines.append, resources)
    assert lines[0] == "kafka_2.13-9.9.9.jar"
    put(bin_dir, "mvn", "exit 1")
    assert install(cache, lines.append, resources) == home == installed(cache, resources)
    assert [path.name for path in cache.iterdir()] == ["kafka-9.9.9"]


def test_of_several_at_once_one_fetches_and_the_others_wait(tmp_path: Path, resources: Path, bin_dir: Path) -> None:
    put(bin_dir, "java", "exit 0")
    lines: list[str] = []
    put(bin_dir, "mvn", f'/bin/mkdir "{tmp_path}/once" || exit 1; /bin/sleep 0.3\n{FAKE_MAVEN}')
    with ThreadPoolExecutor(3) as threads:
        homes = list(threads.map(lambda _: install(tmp_path / "cache", lines.append, resources), range(3)))
    assert lines.count("Another process is installing Apache Kafka; waiting for it.") == 2
    assert homes == [installed(tmp_path / "cache", resources)] * 3


@pytest.mark.usefixtures("bin_dir")
def test_a_missing_maven_is_named(tmp_path: Path, resources: Path) -> None:
    with pytest.raises(ServiceError, match="`mvn` is not on the PATH"):
        install(tmp_path / "cache", print, resources)


def test_a_missing_java_is_named(tmp_path: Path, resources: Path, bin_dir: Path) -> None:
    put(bin_dir, "mvn", "exit 0")
    with pytest.raises(ServiceError, match="`java` is not on the PATH"):
        install(tmp_path / "cache", print, resources)


@pytest.mark.parametrize(("script", "said"), [("echo Unknown host; exit 1", "Unknown host"), ("exit 0", "is missing")])
def test_a_download_that_fails_leaves_nothing(
    tmp_path: Path, resources: Path, bin_dir: Path, script: str, said: str
) -> None:
    put(bin_dir, "java", "exit 0")
    put(bin_dir, "mvn", script)
    cache = tmp_path / "cache"
    with pytest.raises(ServiceError, match=said):
        install(cache, print, resources)
    assert list(cache.iterdir()) == []
    assert installed(cache, resources) is None
