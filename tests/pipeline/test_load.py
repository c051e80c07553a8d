"""A pipeline file that is wrong names the key and the remedy; one that is right is resolved."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from streams.core.errors import ConfigError, MistakesError
from streams.core.messages import Tier
from streams.core.routing import Route
from streams.pipeline.code import ANY_PYTHON
from streams.pipeline.load import load_pipeline, load_uncalibrated, parse_spec
from streams.pipeline.spec import AT_LIMIT
from tests.harness.pipeline_files import BASE, TEMPLATE, changed, loaded, wrong

SECOND_REASONER = '\n[reasoners.other]\nmodel = "m"\ntask = "resolve"\n'


def test_a_right_file_is_resolved(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    assert (pipeline.name, pipeline.combine) == ("desk", "first")
    assert list(pipeline.listeners) == ["rules", "intent", "label"]
    assert pipeline.routes == {
        "duplicate": Route("duplicate"),
        "nothing": Route("ignore"),
        "order": Route("work", "work"),
        "question": Route("reason", "think"),
        "unsure": Route("work", "code"),
    }
    assert pipeline.listeners["intent"].artifact == tmp_path / "intents.npz"
    assert pipeline.workers["code"].function == "desk:do"
    assert pipeline.workers["work"].function is None
    assert pipeline.prices.prices


def test_what_the_file_leaves_out_has_a_default_that_suits_the_tier(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    policies = {
        name: (handler.spec.cache, handler.spec.timeout, handler.spec.retries)
        for group in (pipeline.listeners, pipeline.workers, pipeline.reasoners)
        for name, handler in group.items()
    }
    assert policies["rules"] == policies["intent"] == ("off", 10.0, 1)
    assert policies["label"] == ("shared", 10.0, 1)
    assert policies["work"] == policies["code"] == ("shared", 60.0, 2)
    assert policies["think"] == ("own", 180.0, 2)


def test_a_prompted_handler_has_its_prompt_its_contract_and_its_knowledge(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path)
    work, label = pipeline.workers["work"].prompting, pipeline.listeners["label"].prompting
    assert work is not None
    assert label is not None
    assert (work.template.source, work.knowledge, work.contract.refusal) == (
        TEMPLATE,
        "Parcels take two days.",
        "field",
    )
    assert (label.labels, label.contract.refusal) == (("order", "question"), "none")
    assert label.contract.schema == {"type": "string", "enum": ["order", "question"]}


def test_the_only_reasoner_takes_over_from_every_worker(tmp_path: Path) -> None:
    reasoner = loaded(tmp_path).reasoner_of("work")
    assert reasoner is not None
    assert reasoner.name == "think"


def test_of_several_reasoners_each_worker_names_its_own(tmp_path: Path) -> None:
    text = changed("[workers.work]\n", '[workers.work]\nreasoner = "other"\n') + SECOND_REASONER
    text = changed("[workers.code]\n", '[workers.code]\nreasoner = "think"\n', text)
    pipeline = loaded(tmp_path, text)
    assert [getattr(pipeline.reasoner_of(name), "name", None) for name in ("work", "code")] == ["other", "think"]


def test_without_a_reasoner_a_worker_does_not_escalate(tmp_path: Path) -> None:
    text = changed('question = "reasoners.think"', 'question = "ignore"').partition("[reasoners")[0]
    assert loaded(tmp_path, text).reasoner_of("work") is None


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ('name = "desk"\n', "", "name", "Add it."),
        ('name = "desk"', 'name = "Desk!"', "name", "not written as it must be"),
        ("[workers.work]\n", "[workers.work]\ntreshold = 0.5\n", "workers.work.treshold", "Did you mean 'threshold'?"),
        ("[listeners.intent]\n", "[listeners.intent]\nartefact = 1\n", "listeners.intent.artefact", "'artifact'?"),
        ("[workers.work]\n", "[workers.work]\nxyzzy = 1\n", "workers.work.xyzzy", "Remove it"),
        ('kind = "rules"', 'kind = "ruls"', "listeners.rules.kind", "'rules'"),
        ('kind = "rules"\n', "", "listeners.rules.kind", "lists the kinds"),
        ('artifact = "intents.npz"\n', "", "listeners.intent.artifact", "Add it."),
        ('artifact = "intents.npz"', 'artifact = "gone.npz"', "listeners.intent.artifact", "gone.npz cannot be read"),
        ('labels = ["order", "question"]', 'labels = ["order"]', "listeners.label.labels", "Give at least 2"),
        ('provider = "recorded"', 'provider = "oracle"', "models.m.provider", "'local'"),
        ("[workers.work]", "[workers.Work]", "workers.Work", "not written as it must be"),
        ("[listeners.rules]\n", "[listeners.Rules]\n", "listeners.Rules", "not written as it must be"),
        ('order = "workers.work"', 'order = "workers.wrok"', "routes.order", "Use one of: ignore, workers.work"),
        ('order = "workers.work"', 'order = "somewhere"', "routes.order", "is not a target"),
        ('order = "workers.work"', 'duplicate = "workers.wrok"', "routes.duplicate", "is not a target"),
        ('unsure = "workers.code"\n', "", "routes.unsure", 'unsure = "ignore"'),
        ('prompt = "prompt.j2"', 'prompt = "gone.j2"', "workers.work.prompt", "gone.j2 cannot be read"),
        ('prompt = "prompt.j2"', 'prompt = "p\\u0000"', "workers.work.prompt", "cannot be read"),
        ('schema = "schema.json"', 'schema = "prompt.j2"', "workers.work.schema", "is not valid JSON"),
        ('schema = "schema.json"\n', "", "workers.work.refusal", 'refusal = "token"'),
        ('knowledge = "facts.md"', 'knowledge = "gone.md"', "workers.work.knowledge", "gone.md cannot be read"),
        ('prompt = "prompt.j2"\n', "", "workers.work", "give a prompt file, or a task type"),
        ('handler = "desk:do"\n', "", "workers.code", "give either a model"),
        ('handler = "desk:do"', 'handler = "desk:do"\nmodel = "m"', "workers.code", "give either a model"),
        ('handler = "desk:do"', 'handler = "desk.do"', "workers.code.handler", "not written as it must be"),
        ('handler = "desk:do"', 'handler = "nowhere.at.all:do"', "workers.code.handler", "cannot be found"),
        ('handler = "desk:do"', 'handler = "sys:exit"', "workers.code.handler", "cannot be found"),
        ("[workers.work]\n", '[workers.work]\nreasoner = "gone"\n', "workers.work.reasoner", "Use one of: think"),
        ("[workers.work]\n", '[workers.work]\ntimeout = "soon"\n', "workers.work.timeout", '"30s"'),
        ("[workers.work]\n", "[workers.work]\ncache_ttl = inf\n", "workers.work.cache_ttl", "out of range"),
        ("[workers.work]\n", "[workers.work]\nthreshold = 1.5\n", "workers.work.threshold", "out of range"),
        ("[workers.work]\n", "[workers.work]\nthreshold = nan\n", "workers.work.threshold", "out of range"),
        ("{ seed = 1 }", "{ since = 2026-01-01 }", "workers.work.parameters.since", "JSON"),
        (
            "[workers.work]\n",
            '[workers.work]\nconfidence = "guess"\n',
            "workers.work.confidence.0",
            'one of "verbalized", "logprob"',
        ),
        (
            "[workers.work]\n",
            '[workers.work]\nconfidence = ["verbalized", 7]\n',
            "workers.work.confidence.1",
            "is not text",
        ),
        (
            "[workers.work]\n",
            '[workers.work]\nconfidence = "nowhere.at.all:f"\n',
            "workers.work.confidence",
            "cannot be found",
        ),
        ("[workers.work]\n", '[workers.work]\nconfidence = "verifier"\n', "workers.work", "go together"),
        ("[workers.work]\n", '[workers.work]\nverifier = "intents.npz"\n', "workers.work", "go together"),
        (
            "[workers.work]\n",
            '[workers.work]\nconfidence = "verifier"\nverifier = "gone"\n',
            "workers.work.verifier",
            "gone cannot be read",
        ),
        (
            "[workers.work]\n",
            '[workers.work]\ncalibration = "c.json"\nthreshold = 0.5\n',
            "workers.work",
            "the calibration brings the threshold",
        ),
        (
            "[workers.work]\n",
            '[workers.work]\ncalibration = "gone.json"\n',
            "workers.work.calibration",
            ": gone.json cannot be read",
        ),
        (
            "[workers.work]\n",
            '[workers.work]\ncalibration = "facts.md"\n',
            "workers.work.calibration",
            "facts.md: The calibration is not JSON",
        ),
        ("[workers.work]\n", '[workers.work]\non_expiry = "stop"\n', "workers.work.on_expiry", "'fallback'"),
        (
            "[workers.work]\n",
            "[workers.work]\nfallback_threshold = 2.0\n",
            "workers.work.fallback_threshold",
            "out of range",
        ),
        ("[workers.work]\n", "[workers.work]\nexplore = 1.5\n", "workers.work.explore", "out of range"),
        ("[workers.work]\n", "[workers.work]\nexplore = nan\n", "workers.work.explore", "out of range"),
        ("[workers.work]\n", "[workers.work]\nsamples = 1\n", "workers.work.samples", "Write at least 2"),
        ("[workers.work]\n", "[workers.work]\nsamples = 51\n", "workers.work.samples", "Write at most 50"),
        (
            "[workers.work]\n",
            '[workers.work]\ncombine_confidence = "median"\n',
            "workers.work.combine_confidence",
            "'product'",
        ),
        ("[workers.work]\n", '[workers.work]\ncorrect = "fields"\n', "workers.work.correct", "needs fields"),
        (
            "[workers.work]\n",
            '[workers.work]\ncorrect = { fields = ["a"] }\n',
            "workers.work.correct",
            "only it takes them",
        ),
        (
            "[workers.work]\n",
            '[workers.work]\ncorrect = "sort of"\n',
            "workers.work.correct.by",
            'one of "exact", "fields", "numeric"',
        ),
        (
            "[workers.work]\n",
            '[workers.work]\ncorrect = { by = "numeric", tolerance = -0.1 }\n',
            "workers.work.correct.tolerance",
            "out of range",
        ),
        (
            "[workers.work]\n",
            '[workers.work]\ncorrect = { by = "numeric", tolerance = inf }\n',
            "workers.work.correct.tolerance",
            "finite",
        ),
        (
            "[workers.work]\n",
            '[workers.work]\nconfidence = "self-consistency"\ncorrect = "nowhere.at.all:f"\n',
            "workers.work.correct.by",
            "cannot be found",
        ),
        ('handler = "desk:do"', 'handler = "desk:do"\nconfidence = "logprob"', "workers.code", "with its Answer"),
        ('task = "resolve"', 'task = "resolve"\nconfidence = "self-consistency"', "reasoners.think", "are for workers"),
        ('task = "resolve"', 'task = "resolve"\nexplore = 0.5', "reasoners.think.explore", "unknown key"),
        ('labels = ["order"', 'confidence = "desk:do"\nlabels = ["order"', "listeners.label", "are for workers"),
        ('name = "desk"', 'name = "desk"\nprices = "gone.toml"', "prices", "gone.toml cannot be read"),
        ('name = "desk"', 'name = "desk"\nprices = "prompt.j2"', "prices", "is not valid TOML"),
    ],
)
def test_an_error_names_the_key_and_the_remedy(tmp_path: Path, old: str, new: str, key: str, said: str) -> None:
    error = wrong(tmp_path, changed(old, new))
    assert error.key == key
    assert str(error).startswith(f"{key}: ")
    assert str(error).count(f"{key}: ") == 1
    assert said in str(error)


def test_a_missing_model_is_named_with_those_there_are(tmp_path: Path) -> None:
    text = BASE.replace('model = "m"', 'model = "n"')
    error = wrong(tmp_path, text)
    assert (error.key, error.remedy) == ("listeners.label.model", "Use one of: m.")
    without = text.replace("[models.m]", "").replace(
        'provider = "recorded"\nmodel = "small"\ncassette = "none.jsonl"\n', ""
    )
    assert "Add [models.NAME] to the file." in str(wrong(tmp_path, without))


def test_several_reasoners_need_a_choice(tmp_path: Path) -> None:
    error = wrong(tmp_path, BASE + SECOND_REASONER)
    assert (error.key, error.remedy) == ("workers.work.reasoner", "Name one of think, other.")


def test_a_stated_confidence_needs_a_schema_to_be_a_field_of(tmp_path: Path) -> None:
    text = changed('schema = "schema.json"', 'refusal = "token"\nconfidence = "verbalized"')
    error = wrong(tmp_path, text)
    assert error.key == "workers.work"
    assert "needs a schema" in str(error)


def test_one_error_lists_every_problem(tmp_path: Path) -> None:
    error = wrong(tmp_path, changed("[workers.work]\n", "[workers.work]\ntreshold = 1\ntimout = 2\n"))
    first, second = str(error).splitlines()
    assert first.startswith("workers.work.treshold: unknown key.")
    assert second.startswith("workers.work.timout: unknown key.")


def test_fields_to_compare_that_the_schema_has_not_are_named(tmp_path: Path) -> None:
    text = changed('schema = "schema.json"', 'schema = "schema.json"\ncorrect = { by = "fields", fields = ["nubmer"] }')
    error = wrong(tmp_path, text, files={"schema.json": '{"type": "object", "properties": {"number": {}}}'})
    assert error.key == "workers.work.correct"
    assert "the answers' schema has no field 'nubmer'. Use one of: number." in str(error)


def test_the_mistakes_of_the_table_and_of_the_files_it_names_are_reported_at_once(tmp_path: Path) -> None:
    text = BASE.replace("[workers.work]\n", '[workers.work]\nthreshold = "high"\n')
    text = text.replace('prompt = "prompt.j2"', 'promt = "gone.j2"').replace('"schema.json"', '"lost.json"')
    text = text.replace('artifact = "intents.npz"', 'artifact = "gone.npz"').replace('"workers.code"', '"workers.cod"')
    error = wrong(tmp_path, text)
    assert isinstance(error, MistakesError)
    assert [one.key for one in error.errors] == [
        "workers.work.threshold", "workers.work.promt", "listeners.intent.artifact",
        "workers.work.prompt", "workers.work.schema", "routes.unsure",
    ]  # fmt: skip
    said = [str(one) for one in error.errors]
    assert "'high' is not a number. Write a number without quotes" in said[0]
    assert "Did you mean 'prompt'?" in said[1]
    assert "Make it with `escalon train listener FILE --out" in said[2]
    line = text.splitlines().index('threshold = "high"') + 1
    assert said[0].endswith(f"(line {line} of pipeline.toml)")


def test_a_key_of_another_table_is_not_suggested_for_itself(tmp_path: Path) -> None:
    error = wrong(tmp_path, changed('task = "resolve"', 'task = "resolve"\nexplore = 0.5'))
    assert error.remedy.startswith("It belongs into another table")


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        load_pipeline(tmp_path / "nowhere.toml")


def test_bad_toml_is_an_error_that_names_its_line(tmp_path: Path) -> None:
    error = wrong(tmp_path, "name = \n")
    assert "not valid TOML" in str(error)
    assert "line 1" in str(error)


@pytest.mark.parametrize("content", ["true", "[]", '{"type": "strange"}', '{"pattern": "("}', '{"$ref": "#/gone"}'])
def test_a_file_that_is_not_a_json_schema_is_an_error(tmp_path: Path, content: str) -> None:
    error = wrong(tmp_path, files={"schema.json": content})
    assert (error.key, error.remedy) == ("workers.work.schema", "Write a JSON Schema of draft 2020-12.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hello", "has no block system and no block user"),
        ("{% block user %}{% endblock %}", "has no block system"),
        (TEMPLATE + "\n{% if %}", "line 2"),
    ],
)
def test_a_file_that_is_not_a_template_is_an_error(tmp_path: Path, content: str, said: str) -> None:
    error = wrong(tmp_path, files={"prompt.j2": content})
    assert error.key == "workers.work.prompt"
    assert said in str(error)


def test_a_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    loaded(tmp_path)
    (tmp_path / "facts.md").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"workers\.work\.knowledge: facts\.md is not UTF-8"):
        load_pipeline(tmp_path / "pipeline.toml", ANY_PYTHON)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [('"250ms"', 0.25), ('"30s"', 30), ('"5 m"', 300), ('"1.5h"', 5400), ('"7d"', 604800), ("9", 9)],
)
def test_a_duration_is_written_with_its_unit(tmp_path: Path, written: str, seconds: float) -> None:
    pipeline = loaded(tmp_path, changed("[workers.work]\n", f"[workers.work]\ntimeout = {written}\n"))
    assert pipeline.workers["work"].spec.timeout == seconds


def test_the_table_alone_can_be_checked_without_the_files_it_names() -> None:
    with pytest.raises(ConfigError, match="routes: "):
        parse_spec({"name": "desk", "listeners": {"a": {"kind": "rules", "rules": {"x": ["y"]}}}})


def test_the_budget_is_exact_money(tmp_path: Path) -> None:
    priced = changed('cassette = "none.jsonl"', 'cassette = "none.jsonl"\npriced_as = "claude-haiku-4-5"')
    pipeline = loaded(tmp_path, priced + "\n[budgets.worker]\nusd_per_day = 0.1\n")
    assert str(pipeline.spec.budgets["worker"].usd_per_day) == "0.1"


def test_a_budget_needs_a_price_for_every_model_it_pays(tmp_path: Path) -> None:
    error = wrong(tmp_path, BASE + "\n[budgets.worker]\nusd_per_day = 0.1\n")
    assert error.key == "models.m.priced_as"
    assert "budget cannot be kept" in str(error)


LOCAL = changed(
    'provider = "recorded"\nmodel = "small"\ncassette = "none.jsonl"', 'provider = "local"\nmodel = "small"'
)


@pytest.mark.parametrize("parameters", ["{ seed = 1 }", "{ temperature = 0 }", "{ temperature = 0.0, seed = 1 }"])
def test_several_samples_of_a_local_model_need_a_temperature(tmp_path: Path, parameters: str) -> None:
    error = wrong(tmp_path, changed("{ seed = 1 }", f'{parameters}\nconfidence = "self-consistency"', LOCAL))
    assert error.key == "workers.work.parameters"
    assert "temperature above 0" in error.remedy


def test_with_a_temperature_a_local_model_may_be_asked_for_several_samples(tmp_path: Path) -> None:
    text = changed("{ seed = 1 }", '{ temperature = 0.7 }\nconfidence = "self-consistency"', LOCAL)
    assert loaded(tmp_path, text).spec.workers["work"].samples == 5


PRICED = changed('cassette = "none.jsonl"', 'cassette = "none.jsonl"\npriced_as = "claude-haiku-4-5"')


@pytest.mark.parametrize(
    ("tier", "at_limit", "remedy"),
    [
        ("listener", "defer", "Remove the line: a listener that is not asked finds nothing."),
        ("listener", "fail", "Remove the line: a listener that is not asked finds nothing."),
        ("worker", "accept", "Use 'defer' or 'fail'."),
    ],
)
def test_what_becomes_of_a_task_without_money_must_mean_something_to_its_tier(
    tmp_path: Path, tier: str, at_limit: str, remedy: str
) -> None:
    error = wrong(tmp_path, PRICED + f'\n[budgets.{tier}]\nusd_per_day = 1\nat_limit = "{at_limit}"\n')
    assert (error.key, error.remedy) == (f"budgets.{tier}.at_limit", remedy)


@pytest.mark.parametrize(
    ("budget", "key"),
    [
        ("[budgets.settle]\nusd_per_day = 1", "budgets.settle"),
        ("[budgets.worker]\nusd_per_day = 0", "budgets.worker.usd_per_day"),
        ("[budgets.worker]\nusd_per_day = nan", "budgets.worker.usd_per_day"),
        ('[budgets.worker]\nusd_per_day = 1\nat_limit = "wait"', "budgets.worker.at_limit"),
        ('[budgets.worker]\nat_limit = "fail"', "budgets.worker.usd_per_day"),
    ],
)
def test_a_wrong_budget_is_an_error(tmp_path: Path, budget: str, key: str) -> None:
    assert wrong(tmp_path, f"{PRICED}\n{budget}\n").key == key


@pytest.mark.parametrize(
    ("tier", "at_limit"),
    [(tier, None) for tier in AT_LIMIT] + [(tier, choice) for tier, choices in AT_LIMIT.items() for choice in choices],
)
def test_a_tier_may_be_given_each_limit_that_means_something_to_it(
    tmp_path: Path, tier: Tier, at_limit: str | None
) -> None:
    line = f'at_limit = "{at_limit}"\n' if at_limit else ""
    pipeline = loaded(tmp_path, f"{PRICED}\n[budgets.{tier}]\nusd_per_day = 1\n{line}")
    assert pipeline.spec.budgets[tier].at_limit == (at_limit or "defer")


def test_the_calibrations_of_a_file_that_is_about_to_be_calibrated_are_left_unread(tmp_path: Path) -> None:
    loaded(tmp_path)
    path = tmp_path / "pipeline.toml"
    path.write_text(changed("[workers.work]\n", '[workers.work]\ncalibration = "gone.json"\n'), "utf-8")
    config = load_uncalibrated(path, ANY_PYTHON).workers["work"].confidence
    assert config is not None
    assert (config.artifact, config.threshold) == (None, None)


@pytest.mark.parametrize("task", ["summarise", "extract", "answer", "resolve"])
def test_every_shipped_task_has_a_prompt_that_renders_and_a_schema(tmp_path: Path, task: str) -> None:
    pipeline = loaded(tmp_path, changed('task = "resolve"', f'task = "{task}"'))
    prompting = pipeline.reasoners["think"].prompting
    assert prompting is not None
    assert prompting.contract.schema is not None
    system, user = prompting.template.render(
        {"text": "hello", "data": {}, "image": None, "knowledge": "", "labels": (), "reason": "routed", "attempt": None}
    )
    assert "<event>" in system
    assert "<event>\nhello\n</event>" in user


# ---- The routes of a router ----

ROUTER = changed(
    '[listeners.label]\nkind = "language-model"\nmodel = "m"\nlabels = ["order", "question"]\n',
    '[listeners.label]\nkind = "router"\nartifact = "intents.npz"\n',
)


def test_to_a_router_each_handler_is_the_route_of_its_own_name(tmp_path: Path) -> None:
    routes = loaded(tmp_path, changed("[routes]\n", '[routes]\nnone = "ignore"\n', ROUTER)).routes
    assert routes == {
        "workers.work": Route("work", "work"),
        "workers.code": Route("work", "code"),
        "reasoners.think": Route("reason", "think"),
        "none": Route("ignore"),
        "duplicate": Route("duplicate"),
        "nothing": Route("ignore"),
        "order": Route("work", "work"),
        "question": Route("reason", "think"),
        "unsure": Route("work", "code"),
    }


def test_the_file_may_send_what_a_router_finds_elsewhere(tmp_path: Path) -> None:
    text = changed("[routes]\n", '[routes]\nnone = "reasoners.think"\n"workers.work" = "workers.code"\n', ROUTER)
    routes = loaded(tmp_path, text).routes
    assert routes["workers.work"] == Route("work", "code")
    assert routes["none"] == Route("reason", "think")


def test_with_a_router_the_file_must_say_what_becomes_of_none(tmp_path: Path) -> None:
    error = wrong(tmp_path, ROUTER)
    assert error.key == "routes.none"
    assert 'none = "ignore"' in error.remedy


def test_without_a_router_handlers_are_not_routes(tmp_path: Path) -> None:
    assert "workers.work" not in loaded(tmp_path).routes


def test_a_routers_artifact_is_part_of_its_version(tmp_path: Path) -> None:
    text = changed("[routes]\n", '[routes]\nnone = "ignore"\n', ROUTER)
    first = loaded(tmp_path, text)
    second = loaded(tmp_path, text, {"intents.npz": "trained again"})
    assert first.listeners["label"].version != second.listeners["label"].version
    assert first.hash != second.hash


def test_a_login_in_a_model_s_address_is_refused_and_not_repeated() -> None:
    table = tomllib.loads(BASE)
    table["models"]["m"] = {"provider": "claude", "model": "c", "base_url": "https://me:planted@host"}
    with pytest.raises(ConfigError) as caught:
        parse_spec(table)
    assert caught.value.key == "models.m.base_url"
    assert "planted" not in str(caught.value)
