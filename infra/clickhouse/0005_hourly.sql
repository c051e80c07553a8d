-- Calls summed up by the hour of their event. The sums are made anew from the rows without repetitions, because sums
-- that grow with each insert would count a call that was delivered twice as two.
-- Seconds are kept as t-digests, which merge over hours; calls answered from a store took none and are left out.

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_hourly_rows
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
FROM calls_rows AS made FINAL
GROUP BY run, hour, tier, handler, model;

CREATE VIEW IF NOT EXISTS calls_hourly AS SELECT
    summed.run AS run,
    summed.hour AS hour,
    summed.tier AS tier,
    summed.handler AS handler,
    summed.model AS model,
    sum(summed.calls) AS calls,
    sum(summed.cache_hits) AS cache_hits,
    sum(summed.reused) AS reused,
    sum(summed.refused) AS refused,
    sum(summed.invalid) AS invalid,
    sum(summed.failed) AS failed,
    sum(summed.escalated) AS escalated,
    sum(summed.input_tokens) AS input_tokens,
    sum(summed.output_tokens) AS output_tokens,
    sum(summed.cost_usd) AS cost_usd,
    sum(summed.unpriced) AS unpriced,
    sum(summed.saved_usd) AS saved_usd,
    sum(summed.reused_usd) AS reused_usd,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.5)(summed.queues)]) AS queue_p50,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.95)(summed.queues)]) AS queue_p95,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.99)(summed.queues)]) AS queue_p99,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.5)(summed.durations)]) AS call_p50,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.95)(summed.durations)]) AS call_p95,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.99)(summed.durations)]) AS call_p99
FROM calls_hourly_rows AS summed
GROUP BY run, hour, tier, handler, model;
