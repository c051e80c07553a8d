-- The redaction policy of every row that holds a body, and an index that finds the rows about one person.
-- Rows from before the index have no person, so nothing needs to be built for them.
-- A reason quotes what a model said. When its words expire, its default keeps the part that is counted.

ALTER TABLE outcomes_rows
    ADD COLUMN IF NOT EXISTS redaction LowCardinality(Nullable(String)) AFTER settled_at;

ALTER TABLE verdicts_rows
    ADD COLUMN IF NOT EXISTS redaction LowCardinality(Nullable(String)) AFTER deferrals;

ALTER TABLE dead_letters_rows
    ADD COLUMN IF NOT EXISTS redaction LowCardinality(Nullable(String)) AFTER error_class;

ALTER TABLE calls_rows
    MODIFY COLUMN decision_reason DEFAULT if(decision = 'escalated', transform(status, ['answered'], ['unsure'], status), '');

ALTER TABLE calls_rows ADD INDEX IF NOT EXISTS by_subject data_subject TYPE bloom_filter(0.01) GRANULARITY 1;

ALTER TABLE outcomes_rows ADD INDEX IF NOT EXISTS by_subject data_subject TYPE bloom_filter(0.01) GRANULARITY 1;

ALTER TABLE verdicts_rows ADD INDEX IF NOT EXISTS by_subject data_subject TYPE bloom_filter(0.01) GRANULARITY 1;

CREATE OR REPLACE VIEW outcomes AS SELECT * FROM outcomes_rows FINAL;

CREATE OR REPLACE VIEW verdicts AS SELECT * FROM verdicts_rows FINAL;

CREATE OR REPLACE VIEW dead_letters AS SELECT * FROM dead_letters_rows FINAL;
