-- The tables that hold the audit's rows. Change them by a new file with ALTER, never here: a file is applied once.
--
-- Every table keeps one row for each deterministic id: a row that was delivered twice is replaced when parts merge, and
-- the views hide it until then. Sorting keys hold nothing that differs between two deliveries.
-- Column names follow OpenTelemetry's GenAI conventions where these have one.
--
-- `escalon migrate` fills the placeholders (streams/adapters/clickhouse_layout.py):
--   $rows                                 `rows`; on a cluster `local`, because calls_rows is a Distributed table there
--   $on_cluster                           empty; on a cluster ON CLUSTER with its name
--   $replacing_merge_tree                 the table engine; on a cluster the replicated one
--   $replacing_merge_tree_by_updated_at   the same; of rows with equal keys, the one that was updated last stays
-- Files that end in .cluster.sql are applied on a cluster only.

CREATE TABLE IF NOT EXISTS calls_$rows $on_cluster
(
    run LowCardinality(String),
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    call_id FixedString(32) CODEC(ZSTD(1)),
    parent_call_id Nullable(String) CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    source_topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    data_subject Nullable(String) CODEC(ZSTD(1)),
    content_digest String CODEC(ZSTD(1)),
    tier LowCardinality(String),
    handler LowCardinality(String),
    handler_version LowCardinality(String),
    pipeline LowCardinality(String),
    operation LowCardinality(String),
    provider LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(Nullable(String)),
    system_prompt String CODEC(ZSTD(3)),
    prompt String CODEC(ZSTD(3)),
    response Nullable(String) CODEC(ZSTD(3)),
    input_tokens Nullable(UInt32),
    output_tokens Nullable(UInt32),
    cache_read_tokens Nullable(UInt32),
    cache_write_tokens Nullable(UInt32),
    cost_usd Nullable(Decimal(24, 12)),
    saved_usd Nullable(Decimal(24, 12)),
    priced_as LowCardinality(Nullable(String)),
    cache_hit Bool,
    started_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    queue_seconds Nullable(Float64),
    first_token_seconds Nullable(Float64),
    duration_seconds Nullable(Float64),
    finish_reason LowCardinality(Nullable(String)),
    status LowCardinality(String),
    refusal_class LowCardinality(Nullable(String)),
    refusal_reason Nullable(String) CODEC(ZSTD(3)),
    sources Map(LowCardinality(String), Float64),
    raw_confidence Nullable(Float64),
    confidence Nullable(Float64),
    threshold Nullable(Float64),
    calibration LowCardinality(Nullable(String)),
    propensity Nullable(Float64),
    explored Bool,
    decision LowCardinality(String),
    -- Quotes what a model said. When its words expire, this default keeps the part that is counted.
    decision_reason String DEFAULT if(decision = 'escalated', transform(status, ['answered'], ['unsure'], status), '') CODEC(ZSTD(1)),
    attempt UInt16,
    sample UInt16,
    error_type LowCardinality(Nullable(String)),
    error Nullable(String) CODEC(ZSTD(3)),
    response_id Nullable(String) CODEC(ZSTD(1)),
    fingerprint String CODEC(ZSTD(1)),
    reused_from LowCardinality(Nullable(String)),
    redaction LowCardinality(Nullable(String)),
    model LowCardinality(String) ALIAS coalesce(response_model, request_model),
    refused Bool ALIAS status = 'refused',
    INDEX by_call call_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_subject data_subject TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = $replacing_merge_tree
PARTITION BY toYYYYMM(event_time)
ORDER BY (run, event_time, event_id, call_id);

CREATE TABLE IF NOT EXISTS outcomes_$rows $on_cluster
(
    run LowCardinality(String),
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    source_topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    data_subject Nullable(String) CODEC(ZSTD(1)),
    content_digest String CODEC(ZSTD(1)),
    state LowCardinality(String),
    tier LowCardinality(String),
    handler LowCardinality(String),
    intent LowCardinality(String),
    answer Nullable(String) CODEC(ZSTD(3)),
    reasons Array(String) CODEC(ZSTD(1)),
    duplicate_of Nullable(String) CODEC(ZSTD(1)),
    call_id Nullable(String) CODEC(ZSTD(1)),
    pipeline LowCardinality(String),
    settled_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    redaction LowCardinality(Nullable(String)),
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_subject data_subject TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = $replacing_merge_tree
PARTITION BY toYYYYMM(event_time)
ORDER BY (run, event_time, event_id);

CREATE TABLE IF NOT EXISTS verdicts_$rows $on_cluster
(
    run LowCardinality(String),
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    source_topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    data_subject Nullable(String) CODEC(ZSTD(1)),
    content_digest String CODEC(ZSTD(1)),
    kind LowCardinality(String),
    text String CODEC(ZSTD(3)),
    data Nullable(String) CODEC(ZSTD(3)),
    image Nullable(String) CODEC(ZSTD(1)),
    deadline Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    findings Array(String) CODEC(ZSTD(1)),
    intents Array(LowCardinality(String)),
    confidence Nullable(Float64),
    action LowCardinality(String),
    handler LowCardinality(String),
    duplicate_of Nullable(String) CODEC(ZSTD(1)),
    fingerprint String CODEC(ZSTD(1)),
    pipeline LowCardinality(String),
    decided_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    budget_deferrals UInt16,
    redaction LowCardinality(Nullable(String)),
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_subject data_subject TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = $replacing_merge_tree
PARTITION BY toYYYYMM(event_time)
PRIMARY KEY (run, event_time, event_id)
ORDER BY (run, event_time, event_id, content_digest);

CREATE TABLE IF NOT EXISTS dead_letters_$rows $on_cluster
(
    run LowCardinality(String),
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    dead_letter_id FixedString(32) CODEC(ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    topic LowCardinality(String),
    `partition` Int32,
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    key Nullable(String) CODEC(ZSTD(1)),
    headers Array(String) CODEC(ZSTD(1)),
    payload String CODEC(ZSTD(3)),
    payload_size UInt64,
    payload_sha256 String CODEC(ZSTD(1)),
    reference Nullable(String) CODEC(ZSTD(1)),
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    error_class LowCardinality(String),
    content_digest String CODEC(ZSTD(1)),
    redaction LowCardinality(Nullable(String)),
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = $replacing_merge_tree
PARTITION BY toYYYYMM(event_time)
ORDER BY (run, event_time, dead_letter_id);

CREATE TABLE IF NOT EXISTS labels_$rows $on_cluster
(
    run LowCardinality(String),
    event_id String CODEC(ZSTD(1)),
    aspect LowCardinality(String),
    source LowCardinality(String),
    label String CODEC(ZSTD(1)),
    labelled_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = $replacing_merge_tree
PARTITION BY toYYYYMM(labelled_at)
ORDER BY (run, event_id, aspect, source, labelled_at);

CREATE TABLE IF NOT EXISTS judgements_$rows $on_cluster
(
    run LowCardinality(String),
    event_id String CODEC(ZSTD(1)),
    call_id String CODEC(ZSTD(1)),
    judge LowCardinality(String),
    question LowCardinality(String),
    verdict LowCardinality(String),
    comment String CODEC(ZSTD(1)),
    judged_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    panel LowCardinality(String),
    case_id String CODEC(ZSTD(1)),
    `option` LowCardinality(String),
    rubric LowCardinality(String),
    kind LowCardinality(String),
    judge_kind LowCardinality(String),
    `left` LowCardinality(String),
    seconds Nullable(Float64),
    INDEX by_case case_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = $replacing_merge_tree
PARTITION BY toYYYYMM(judged_at)
ORDER BY (run, event_id, call_id, panel, case_id, judge, question, `option`, judged_at);

CREATE TABLE IF NOT EXISTS panels_$rows $on_cluster
(
    panel String,
    run LowCardinality(String),
    options Array(String),
    rubric String CODEC(ZSTD(1)),
    rubric_id LowCardinality(String),
    raters_per_case UInt16,
    cases UInt32,
    seed Int64,
    since Nullable(DateTime64(6, 'UTC')),
    until DateTime64(6, 'UTC'),
    population Array(String) CODEC(ZSTD(1)),
    stop String,
    pipeline LowCardinality(String),
    people Array(String) CODEC(ZSTD(1)),
    state LowCardinality(String),
    operator String,
    created_at DateTime64(6, 'UTC'),
    updated_at DateTime64(6, 'UTC')
)
ENGINE = $replacing_merge_tree
ORDER BY (panel, updated_at);

CREATE TABLE IF NOT EXISTS panel_cases_$rows $on_cluster
(
    panel LowCardinality(String),
    case_id String CODEC(ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    run LowCardinality(String),
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    task String CODEC(ZSTD(1)),
    purpose LowCardinality(String),
    answers Array(String) CODEC(ZSTD(1)),
    `left` LowCardinality(String),
    reasons Array(LowCardinality(String)),
    position UInt32,
    weight Float64,
    probability Float64,
    judge_probability Float64,
    prediction Float64,
    expected LowCardinality(String),
    repeats String CODEC(ZSTD(1)),
    content_digest String CODEC(ZSTD(1)),
    created_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = $replacing_merge_tree
ORDER BY (panel, case_id);

CREATE TABLE IF NOT EXISTS runs_$rows $on_cluster
(
    run String,
    base LowCardinality(String),
    pipeline LowCardinality(String),
    pipeline_name LowCardinality(String),
    topic LowCardinality(String),
    selection String CODEC(ZSTD(1)),
    state LowCardinality(String),
    events UInt64,
    paid_calls UInt64,
    reused_calls UInt64,
    cost_usd Decimal(24, 12),
    max_cost_usd Nullable(Decimal(24, 12)),
    started_at DateTime64(6, 'UTC'),
    updated_at DateTime64(6, 'UTC')
)
ENGINE = $replacing_merge_tree_by_updated_at
ORDER BY (run);

CREATE TABLE IF NOT EXISTS erased_events_$rows $on_cluster
(
    event_id String CODEC(ZSTD(1)),
    erasure_id String CODEC(ZSTD(1)),
    erased_at DateTime64(6, 'UTC')
)
ENGINE = $replacing_merge_tree
ORDER BY (event_id);

CREATE TABLE IF NOT EXISTS erasures_$rows $on_cluster
(
    erasure_id String,
    erased_at DateTime64(6, 'UTC'),
    operator String,
    selected_by LowCardinality(String),
    events UInt64,
    calls UInt64,
    outcomes UInt64,
    verdicts UInt64,
    dead_letters UInt64,
    labels UInt64,
    judgements UInt64,
    answers UInt64,
    settled UInt64,
    images UInt64,
    blobs UInt64
)
ENGINE = $replacing_merge_tree
ORDER BY (erasure_id);

CREATE TABLE IF NOT EXISTS dead_letter_actions_$rows $on_cluster
(
    run LowCardinality(String),
    acted_at DateTime64(6, 'UTC'),
    dead_letter_id FixedString(32) CODEC(ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    action LowCardinality(String),
    operator String CODEC(ZSTD(1)),
    why String CODEC(ZSTD(1)),
    topic LowCardinality(String),
    `partition` Nullable(Int32),
    `offset` Nullable(Int64)
)
ENGINE = $replacing_merge_tree
ORDER BY (run, acted_at, dead_letter_id);
