-- A deferral is named by its cause: a verdict counts the times it waited for a budget, and a call whose task waits for its
-- provider is `deferred`.

ALTER TABLE verdicts_rows RENAME COLUMN IF EXISTS deferrals TO budget_deferrals;

ALTER TABLE calls_rows UPDATE decision = 'deferred' WHERE decision = 'postponed';

CREATE OR REPLACE VIEW verdicts AS SELECT * FROM verdicts_rows FINAL;
