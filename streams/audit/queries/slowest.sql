-- The events that took the longest: seconds in the queue and in calls, over all tiers but judges.
-- limit = 20: number of events
WITH top AS
(
    SELECT
        event_id,
        min(calls.event_time) AS event_time,
        sum(calls.queue_seconds) AS queue_seconds,
        sumIf(duration_seconds, NOT cache_hit OR reused_from IS NOT NULL) AS call_seconds,
        coalesce(queue_seconds, 0) + coalesce(call_seconds, 0) AS seconds,
        count() AS calls,
        groupUniqArray(tier) AS tiers
    FROM calls
    WHERE calls.run = {run:String} AND tier != 'judge'
        AND calls.event_time >= {since:DateTime64(6, 'UTC')} AND calls.event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY event_id
    ORDER BY seconds DESC, event_id
    LIMIT {limit:UInt32}
)
SELECT
    event_id,
    event_time,
    seconds,
    queue_seconds,
    call_seconds,
    calls,
    if(has(tiers, 'reasoner'), 'reasoner', if(has(tiers, 'worker'), 'worker', 'listener')) AS furthest
FROM top
ORDER BY seconds DESC, event_id
