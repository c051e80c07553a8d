-- The audit. Every table keeps one row for each deterministic id: what was delivered twice is replaced when parts
-- merge, and the views below hide it until then. Sorting keys hold nothing that differs between two deliveries.
-- Column names follow OpenTelemetry's GenAI conventions where these have one.

CREATE TABLE IF NOT EXISTS calls_rows
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
    raw_confidence Nullable(Float64),
    confidence Nullable(Float64),
    threshold Nullable(Float64),
    decision LowCardinality(String),
    decision_reason String CODEC(ZSTD(1)),
    attempt UInt16,
    sample UInt16,
    error_type LowCardinality(Nullable(String)),
    error Nullable(String) CODEC(ZSTD(3)),
    response_id Nullable(String) CODEC(ZSTD(1)),
    fingerprint String CODEC(ZSTD(1)),
    model LowCardinality(String) ALIAS coalesce(response_model, request_model),
    refused Bool ALIAS status = 'refused',
    INDEX by_call call_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (run, event_time, event_id, call_id);

CREATE TABLE IF NOT EXISTS outcomes_rows
(
    run LowCardinality(String),
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    source_topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64 CODEC(Delta, ZSTD(1)),
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
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (run, event_time, event_id);

CREATE TABLE IF NOT EXISTS verdicts_rows
(
    run LowCardinality(String),
    event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    source_topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    kind LowCardinality(String),
    text String CODEC(ZSTD(3)),
    data Nullable(String) CODEC(ZSTD(3)),
    image Nullable(String) CODEC(ZSTD(1)),
    findings Array(String) CODEC(ZSTD(1)),
    intents Array(LowCardinality(String)),
    confidence Nullable(Float64),
    action LowCardinality(String),
    handler LowCardinality(String),
    duplicate_of Nullable(String) CODEC(ZSTD(1)),
    fingerprint String CODEC(ZSTD(1)),
    pipeline LowCardinality(String),
    decided_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (run, event_time, event_id);

CREATE TABLE IF NOT EXISTS dead_letters_rows
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
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (run, event_time, dead_letter_id);

CREATE TABLE IF NOT EXISTS labels_rows
(
    run LowCardinality(String),
    event_id String CODEC(ZSTD(1)),
    aspect LowCardinality(String),
    source LowCardinality(String),
    label String CODEC(ZSTD(1)),
    labelled_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(labelled_at)
ORDER BY (run, event_id, aspect, source, labelled_at);

CREATE TABLE IF NOT EXISTS judgements_rows
(
    run LowCardinality(String),
    event_id String CODEC(ZSTD(1)),
    call_id String CODEC(ZSTD(1)),
    judge LowCardinality(String),
    question LowCardinality(String),
    verdict LowCardinality(String),
    comment String CODEC(ZSTD(1)),
    judged_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(judged_at)
ORDER BY (run, event_id, call_id, judge, question, judged_at);

CREATE VIEW IF NOT EXISTS calls AS SELECT *, model, refused FROM calls_rows FINAL;

CREATE VIEW IF NOT EXISTS outcomes AS SELECT * FROM outcomes_rows FINAL;

CREATE VIEW IF NOT EXISTS verdicts AS SELECT * FROM verdicts_rows FINAL;

CREATE VIEW IF NOT EXISTS dead_letters AS SELECT * FROM dead_letters_rows FINAL;

CREATE VIEW IF NOT EXISTS labels AS SELECT * FROM labels_rows FINAL;

CREATE VIEW IF NOT EXISTS judgements AS SELECT * FROM judgements_rows FINAL;
