-- Replays, what they reuse, whom an event is about, and the redaction policy of a row.

ALTER TABLE calls_rows
    ADD COLUMN IF NOT EXISTS data_subject Nullable(String) CODEC(ZSTD(1)) AFTER source_offset,
    ADD COLUMN IF NOT EXISTS reused_from LowCardinality(Nullable(String)) AFTER fingerprint,
    ADD COLUMN IF NOT EXISTS redaction LowCardinality(Nullable(String)) AFTER reused_from;

ALTER TABLE outcomes_rows
    ADD COLUMN IF NOT EXISTS data_subject Nullable(String) CODEC(ZSTD(1)) AFTER source_offset;

ALTER TABLE verdicts_rows
    ADD COLUMN IF NOT EXISTS data_subject Nullable(String) CODEC(ZSTD(1)) AFTER source_offset;

CREATE TABLE IF NOT EXISTS runs_rows
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
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (run);

CREATE OR REPLACE VIEW calls AS SELECT *, model, refused FROM calls_rows FINAL;

CREATE OR REPLACE VIEW outcomes AS SELECT * FROM outcomes_rows FINAL;

CREATE OR REPLACE VIEW verdicts AS SELECT * FROM verdicts_rows FINAL;

CREATE VIEW IF NOT EXISTS runs AS SELECT * FROM runs_rows FINAL;
