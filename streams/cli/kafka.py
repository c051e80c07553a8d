"""escalon kafka install."""

from __future__ import annotations

from streams.app.settings import read_settings
from streams.cli.commands import new_app
from streams.cli.console import note, out
from streams.embedded.kafka_install import install
from streams.packaged_files import resource

app = new_app("Install Apache Kafka on this machine, for `escalon up` and `escalon demo`.")


@app.callback()
def kafka() -> None:
    """Keep `install` a command of its own."""


@app.command("install", epilog="Example: escalon kafka install")
def install_kafka() -> None:
    """Download Apache Kafka once with Maven.

    `escalon up` then uses it instead of the broker in memory, and topics survive a restart.
    """
    home = install(read_settings().cache_dir, note, resource("kafka"))
    out.print(f"Apache Kafka is in {home}.", soft_wrap=True)
