-- The columns of 05_any_model.sql in the tables over all shards.

ALTER TABLE calls_rows ON CLUSTER '$cluster' ADD COLUMN IF NOT EXISTS batch_id Nullable(String) AFTER redaction;
