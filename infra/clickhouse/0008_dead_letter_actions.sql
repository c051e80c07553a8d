-- What people did about dead letters: retried or dropped, when, by whom, why, and where the retried record stands.

CREATE TABLE IF NOT EXISTS dead_letter_actions_rows
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
ENGINE = ReplacingMergeTree
ORDER BY (run, acted_at, dead_letter_id);

CREATE VIEW IF NOT EXISTS dead_letter_actions AS SELECT * FROM dead_letter_actions_rows FINAL;
