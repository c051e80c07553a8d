-- What tells two events apart that have one id: a hash of what each says. Of two verdicts under one id and time both stay.

ALTER TABLE calls_rows
    ADD COLUMN IF NOT EXISTS content_digest String CODEC(ZSTD(1)) AFTER data_subject;

ALTER TABLE outcomes_rows
    ADD COLUMN IF NOT EXISTS content_digest String CODEC(ZSTD(1)) AFTER data_subject;

ALTER TABLE verdicts_rows
    ADD COLUMN IF NOT EXISTS content_digest String CODEC(ZSTD(1)) AFTER data_subject,
    MODIFY ORDER BY (run, event_time, event_id, content_digest);

ALTER TABLE dead_letters_rows
    ADD COLUMN IF NOT EXISTS content_digest String CODEC(ZSTD(1)) AFTER error_class;

CREATE OR REPLACE VIEW calls AS SELECT *, model, refused FROM calls_rows FINAL;

CREATE OR REPLACE VIEW outcomes AS SELECT * FROM outcomes_rows FINAL;

CREATE OR REPLACE VIEW verdicts AS SELECT * FROM verdicts_rows FINAL;

CREATE OR REPLACE VIEW dead_letters AS SELECT * FROM dead_letters_rows FINAL;
