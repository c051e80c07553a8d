-- Where a confidence comes from, the calibration that decided, exploration, and how often a task waited for a budget.
-- A view keeps the columns it was made with, so those of changed tables are made anew.

ALTER TABLE calls_rows
    ADD COLUMN IF NOT EXISTS sources Map(LowCardinality(String), Float64) AFTER refusal_reason,
    ADD COLUMN IF NOT EXISTS calibration LowCardinality(Nullable(String)) AFTER threshold,
    ADD COLUMN IF NOT EXISTS propensity Nullable(Float64) AFTER calibration,
    ADD COLUMN IF NOT EXISTS explored Bool AFTER propensity;

ALTER TABLE verdicts_rows ADD COLUMN IF NOT EXISTS deferrals UInt16 AFTER decided_at;

CREATE OR REPLACE VIEW calls AS SELECT *, model, refused FROM calls_rows FINAL;

CREATE OR REPLACE VIEW verdicts AS SELECT * FROM verdicts_rows FINAL;
