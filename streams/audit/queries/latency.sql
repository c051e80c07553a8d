-- Seconds of paid or computed calls (without cache hits) in the queue and in the model, by tier.
-- An answer that a replay reuses counts with the seconds of the original call.
SELECT
    tier,
    count() AS calls,
    quantileExact(0.5)(queue_seconds) AS queue_p50,
    quantileExact(0.95)(queue_seconds) AS queue_p95,
    quantileExact(0.5)(duration_seconds) AS call_p50,
    quantileExact(0.95)(duration_seconds) AS call_p95,
    quantileExact(0.99)(duration_seconds) AS call_p99
FROM calls
WHERE run = {run:String} AND (NOT cache_hit OR reused_from IS NOT NULL)
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY tier
ORDER BY indexOf(['listener', 'worker', 'reasoner', 'judge'], tier)
