-- What each worker is worth: its events and what they cost, how many it passed on, and what a reasoner's call costs.
-- Of an event that was passed on every call was wasted, its samples and retries too.
-- A row without a worker counts the events a route sent straight to the reasoner.
-- What a replay reused counts at what it cost when it was made.
WITH
    if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be,
    (
        SELECT sum(would_be) / nullIf(countIf((NOT cache_hit OR reused_from IS NOT NULL) AND would_be IS NOT NULL), 0)
        FROM calls
        WHERE run = {run:String} AND tier = 'reasoner'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ) AS reasoner_call,
    spans AS
    (
        SELECT greatest(1., dateDiff('second', min(event_time), max(event_time)) / 86400) AS days
        FROM outcomes
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    )
SELECT handler, events, events_a_day, escalated, worker_usd, wasted_usd, reasoner_call_usd
FROM
(
    SELECT
        handler,
        count() AS events,
        events / (SELECT days FROM spans) AS events_a_day,
        countIf(passed_on) AS escalated,
        sum(usd) AS worker_usd,
        if(escalated = 0, toDecimal128(0, 12), sumIf(usd, passed_on)) AS wasted_usd,
        reasoner_call AS reasoner_call_usd
    FROM
    (
        SELECT handler, event_id, max(decision = 'escalated') AS passed_on, sum(would_be) AS usd
        FROM calls
        WHERE run = {run:String} AND tier = 'worker'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        GROUP BY handler, event_id
    )
    GROUP BY handler
    UNION ALL
    SELECT
        '' AS handler,
        uniqExact(event_id) AS events,
        events / (SELECT days FROM spans) AS events_a_day,
        events AS escalated,
        toDecimal128(0, 12) AS worker_usd,
        toDecimal128(0, 12) AS wasted_usd,
        reasoner_call AS reasoner_call_usd
    FROM verdicts
    WHERE run = {run:String} AND action = 'reason'
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    HAVING events > 0
)
ORDER BY handler
