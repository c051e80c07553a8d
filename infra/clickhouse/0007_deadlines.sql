-- When an event must be done.

ALTER TABLE verdicts_rows
    ADD COLUMN IF NOT EXISTS deadline Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)) AFTER image;

CREATE OR REPLACE VIEW verdicts AS SELECT * FROM verdicts_rows FINAL;
