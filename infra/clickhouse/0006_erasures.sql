-- Whose bodies must not come back, and what was done about it: event ids and counts, and never a name.

CREATE TABLE IF NOT EXISTS erased_events_rows
(
    event_id String CODEC(ZSTD(1)),
    erasure_id String CODEC(ZSTD(1)),
    erased_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (event_id);

CREATE TABLE IF NOT EXISTS erasures_rows
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
ENGINE = ReplacingMergeTree
ORDER BY (erasure_id);

CREATE VIEW IF NOT EXISTS erased_events AS SELECT * FROM erased_events_rows FINAL;

CREATE VIEW IF NOT EXISTS erasures AS SELECT * FROM erasures_rows FINAL;
