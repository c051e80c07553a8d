-- Refusals of handlers by class, and their share of the handler's events. Retries and samples count once.
SELECT
    tier,
    handler,
    refusal_class AS class,
    count() AS refused,
    refused / any(events) AS share,
    argMax(refusal_reason, event_time) AS latest_reason
FROM
(
    SELECT
        tier, handler, refusal_class, refusal_reason, event_time, status,
        count() OVER (PARTITION BY tier, handler) AS events
    FROM calls
    WHERE run = {run:String} AND tier IN ('worker', 'reasoner') AND decision NOT IN ('retried', 'sampled', 'deferred')
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
)
WHERE status = 'refused'
GROUP BY tier, handler, class
ORDER BY tier DESC, handler, refused DESC, class
