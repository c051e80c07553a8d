-- What the audit says of calls since models of any provider are asked. On a cluster 05_any_model.cluster.sql, which comes first,
-- adds the same columns to the tables over all shards.

ALTER TABLE calls_$rows $on_cluster ADD COLUMN IF NOT EXISTS batch_id Nullable(String) CODEC(ZSTD(1)) AFTER redaction;

CREATE OR REPLACE VIEW calls $on_cluster AS SELECT *, model, refused FROM calls_rows FINAL;
