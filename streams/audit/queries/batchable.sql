-- Calls that a batch could have made at half the price: by the ordinary API, of an event without a deadline or with room before it.
-- room = 4020: seconds before the deadline that a batch of an hour needs
SELECT
    tier,
    handler,
    count() AS calls,
    countIf(has_room) AS with_room,
    sum(cost_usd) AS usd,
    sumIf(cost_usd, has_room) / 2 AS saved_usd
FROM
(
    SELECT
        calls.tier AS tier,
        calls.handler AS handler,
        calls.cost_usd AS cost_usd,
        due.deadline IS NULL OR dateDiff('second', calls.started_at, due.deadline) >= {room:UInt32} AS has_room
    FROM calls
    LEFT JOIN
    (
        SELECT event_id, content_digest, max(deadline) AS deadline
        FROM verdicts
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        GROUP BY event_id, content_digest
    ) AS due ON due.event_id = calls.event_id AND due.content_digest = calls.content_digest
    WHERE calls.run = {run:String} AND calls.tier IN ('worker', 'reasoner') AND calls.provider IN ('anthropic', 'openai')
        AND calls.batch_id IS NULL AND NOT calls.cache_hit AND calls.cost_usd > 0
        AND calls.event_time >= {since:DateTime64(6, 'UTC')} AND calls.event_time < {until:DateTime64(6, 'UTC')}
)
GROUP BY tier, handler
ORDER BY saved_usd DESC, handler
