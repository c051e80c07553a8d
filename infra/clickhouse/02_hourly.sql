-- Calls summed up by the hour of their event. Each refresh computes the sums from the rows without repetitions, because
-- sums that grow with each insert would count a call that was delivered twice as two. On a cluster each shard sums up its
-- own rows; rows that replace each other lie on one shard, so nothing counts twice.
-- Seconds are kept as t-digests, which merge over hours; calls answered from a store took none and are left out.

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_hourly_$rows $on_cluster
REFRESH AFTER 10 MINUTE
ENGINE = MergeTree
ORDER BY (run, hour, tier, handler, model)
AS SELECT
    made.run AS run,
    toStartOfHour(toDateTime(made.event_time, 'UTC')) AS hour,
    made.tier AS tier,
    made.handler AS handler,
    toLowCardinality(coalesce(made.response_model, made.request_model)) AS model,
    count() AS calls,
    countIf(made.cache_hit) AS cache_hits,
    countIf(made.reused_from IS NOT NULL) AS reused,
    countIf(made.status = 'refused') AS refused,
    countIf(made.status = 'invalid') AS invalid,
    countIf(made.status = 'failed') AS failed,
    countIf(made.decision = 'escalated') AS escalated,
    sum(made.input_tokens) AS input_tokens,
    sum(made.output_tokens) AS output_tokens,
    sum(made.cost_usd) AS cost_usd,
    countIf(made.cost_usd IS NULL) AS unpriced,
    sum(made.saved_usd) AS saved_usd,
    sumIf(made.saved_usd, made.reused_from IS NOT NULL) AS reused_usd,
    quantileTDigestStateIf(made.queue_seconds, NOT made.cache_hit) AS queues,
    quantileTDigestStateIf(made.duration_seconds, NOT made.cache_hit) AS durations
FROM calls_$rows AS made FINAL
GROUP BY run, hour, tier, handler, model;
