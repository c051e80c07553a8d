from __future__ import annotations

import ast
import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel

from streams.adapters.codec import Codec
from streams.adapters.event_reader import ENVELOPE, EventReader
from streams.adapters.kafka_record import ID_HEADER, TRACE_HEADER, KafkaRecord
from streams.app import clouds
from streams.core.answer_comparison import By
from streams.core.budget import AtLimit
from streams.core.errors import Fault
from streams.core.reply_contract import REFUSAL_CLASSES, RefusalContract
from streams.core.routing import COMBINE
from streams.core.topics import TOPICS
from streams.embedded.kafka_node import JAVA_OPTIONS
from streams.pipeline import spec, values
from streams.pipeline.load import parse_spec
from streams.pipeline.prompt_language import FILTERS, LOOP_FIELDS, STATEMENTS, TESTS, VARIABLES
from streams.pipeline.template import PromptTemplate

DOCUMENTS = (
    "settings",
    "pipeline",
    "messages",
    "deployment",
    "escalation",
    "what-if",
    "verify",
    "compare",
    "privacy",
    "audit",
    "replay",
    "telemetry",
    "reliability",
)


def read(root: Path, name: str) -> str:
    return (root / "docs" / f"{name}.md").read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def coded(text: str) -> set[str]:
    """Return every text in backquotes."""
    return set(re.findall(r"`([^`\n]+)`", text))


def test_every_setting_is_documented(root: Path, settings_read: set[str]) -> None:
    assert settings_read - coded(read(root, "settings")) == set()


def test_every_documented_variable_is_a_setting(root: Path, settings_read: set[str]) -> None:
    named = re.findall(r"\b(?:ESCALON|ANTHROPIC|KAFKA)_[A-Z_]+\b", read(root, "settings"))
    keys = {f"{name}{form}" for name in clouds.KEYS.values() for form in ("", "_FILE")}
    assert set(named) - settings_read - keys - JAVA_OPTIONS.keys() == set()


def specs() -> list[type[BaseModel]]:
    return [value for value in vars(spec).values() if isinstance(value, type) and issubclass(value, values.StrictTable)]


def test_every_key_of_the_pipeline_file_is_documented(root: Path) -> None:
    text = read(root, "pipeline")
    keys = {field.alias or name for model in specs() for name, field in model.model_fields.items()}
    tables = {"source", "models", "listeners", "verdict", "routes", "workers", "reasoners", "budgets", "retry_later"}
    assert len(keys) > 40
    assert keys - tables - coded(text) - {"combine"} == set()
    assert {table for table in tables if f"[{table}" not in text} == set()
    assert "combine = " in text


@pytest.mark.parametrize(
    "values",
    [
        get_args(values.CachePolicy),
        get_args(values.ConfidenceSource),
        get_args(spec.Combine),
        get_args(AtLimit),
        get_args(By),
        get_args(spec.Task),
        get_args(RefusalContract),
        REFUSAL_CLASSES,
        tuple(COMBINE),
        ("text", "data", "image", "knowledge", "labels", "reason", "attempt", "fenced"),
    ],
    ids=lambda values: values[0],
)
def test_every_choice_in_the_pipeline_file_is_documented(root: Path, values: tuple[str, ...]) -> None:
    assert set(values) - coded(read(root, "pipeline")) == set()


def test_the_pipeline_in_the_documentation_is_valid(root: Path) -> None:
    whole, *_ = blocks(read(root, "pipeline"), "toml")
    pipeline = parse_spec(tomllib.loads(whole))
    assert set(pipeline.routes) == {"nothing", "question", "unsure"}


def test_what_a_template_may_use_is_documented(root: Path) -> None:
    assert {*FILTERS, *LOOP_FIELDS, *STATEMENTS, *TESTS, *VARIABLES} - coded(read(root, "pipeline")) == set()


def test_the_template_in_the_documentation_renders(root: Path) -> None:
    (source,) = blocks(read(root, "pipeline"), "jinja")
    variables = {"text": "hello </event>", "knowledge": "facts", "reason": None, "attempt": None}
    system, user = PromptTemplate(source, "docs", "prompt").render(variables)
    assert "facts" in system
    assert user.startswith("<event>")
    assert user.count("</event>") == 1


def reasons_in_code(root: Path) -> set[str]:
    """The codes of dead letters: those that errors are made with, and those that the code computes."""
    faults = set(get_args(Fault)) - {"infrastructure"}  # while a service is unavailable, the message waits
    found = {"truncated", "bad_avro", "defect"} | {f"{fault}_error" for fault in faults}
    for file in (root / "streams").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("UnreadableError", "_unreadable"):
                first = node.args[0]
                found |= {first.value} if isinstance(first, ast.Constant) and isinstance(first.value, str) else set()
    return found


def test_the_table_of_dead_letters_has_every_reason_and_no_other(root: Path) -> None:
    section = read(root, "messages").partition("## Dead letters")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.M))
    assert documented == reasons_in_code(root)


def test_every_topic_envelope_key_and_header_is_documented(root: Path) -> None:
    text = read(root, "messages")
    assert {topic.name for topic in TOPICS} <= coded(text)
    assert {topic.name for topic in TOPICS if topic.message.__name__ not in text} == set()
    assert {*ENVELOPE, ID_HEADER, TRACE_HEADER} <= coded(text)


def event_reader() -> EventReader:
    return EventReader(Codec(), "cluster", "live", 900_000)


def test_the_json_event_in_the_documentation_reads_as_it_says(root: Path) -> None:
    (line,) = blocks(read(root, "messages"), "json")
    at = datetime(2026, 11, 23, tzinfo=UTC)
    event = event_reader()(KafkaRecord("events", 0, 0, None, line.encode(), at))
    assert event.origin.event_id == "mail-77"
    assert event.origin.event_time == datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    assert json.loads(event.data or "") == {"customer": "C-9", "lang": "en"}


def test_the_console_examples_publish_readable_events(root: Path) -> None:
    shell = "\n".join(blocks(read(root, "messages"), "sh"))
    quoted, *_ = re.findall(r"echo '(.+)' \|", shell)
    assert event_reader().read(f"{quoted}\n".encode()).id == "mail-77"
    (header, value) = re.findall(r"printf '([^\\]+)\\t([^\\]+)\\n'", shell)[0]
    assert header == f"{ID_HEADER}:mail-78"
    assert event_reader().read(value.encode()).text == value


@pytest.mark.parametrize("name", DOCUMENTS)
def test_python_examples_compile_and_import_what_exists(root: Path, name: str) -> None:
    for block in blocks(read(root, name), "python"):
        tree = ast.parse(block)
        imports: list[ast.stmt] = [node for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import)]
        exec(compile(ast.Module(imports, []), f"docs/{name}.md", "exec"), {})  # noqa: S102  our own words


def test_links_lead_to_files_and_headings_that_exist(root: Path) -> None:
    pages = [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]
    assert len(pages) > 50
    assert [f"{page.relative_to(root)}: {link}" for page in pages for link in broken_links(page)] == []


def broken_links(page: Path) -> list[str]:
    """Return the links of a page to files or headings that do not exist."""
    prose = re.sub(r"^( *)```.*?^\1```$|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.M | re.S)
    return [link for link in re.findall(r"\]\(([^)\s:]+)\)", prose) if not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, heading = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not heading or heading in anchors(target))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Is it A?\n[a](#is-it-a) [b](page.md) [c](none.md) [d](page.md#is-it-b) `[e](none.md)`\n")
    assert broken_links(page) == ["none.md", "page.md#is-it-b"]


def test_services_in_the_deployment_guide_exist(root: Path) -> None:
    services = yaml.safe_load((root / "docker-compose.yml").read_text("utf-8"))["services"]
    text = read(root, "deployment")
    named = set(re.findall(r"docker compose (?:run --rm(?: -v \S+)?|exec -T) (\w+)", text))
    named |= set(re.findall(r"--scale (\w+)=", text))
    assert named >= {"cli", "kafka", "listen", "work"}
    assert named - set(services) == set()
