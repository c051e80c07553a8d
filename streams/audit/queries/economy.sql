-- What each worker is worth: its events and what they cost, how many it passed on, and what a reasoner's call costs.
-- Of an event that was passed on every call was wasted, its samples and retries too.
-- A row without a worker counts the events a route sent straight to the reasoner.
WITH
    (
        SELECT sum(cost_usd) / nullIf(countIf(NOT cache_hit AND cost_usd IS NOT NULL), 0)
        FROM calls
        WHERE run = {run:String} AND tier = 'reasoner'
    ) AS reasoner_call,
    spans AS
    (
        SELECT greatest(1., dateDiff('second', min(event_time), max(event_time)) / 86400) AS days
        FROM outcomes
        WHERE run = {run:String}
    ),
    passed_on AS
    (
        SELECT handler, event_id
        FROM calls
        WHERE run = {run:String} AND tier = 'worker' AND decision = 'escalated'
    )
SELECT
    handler,
    uniqExact(event_id) AS events,
    events / (SELECT days FROM spans) AS events_a_day,
    uniqExactIf(event_id, decision = 'escalated') AS escalated,
    sum(cost_usd) AS worker_usd,
    if(escalated = 0, toDecimal128(0, 12), sumIf(cost_usd, (handler, event_id) IN passed_on)) AS wasted_usd,
    reasoner_call AS reasoner_call_usd
FROM calls
WHERE run = {run:String} AND tier = 'worker'
GROUP BY handler
UNION ALL
SELECT
    '' AS handler,
    count() AS events,
    events / (SELECT days FROM spans) AS events_a_day,
    count() AS escalated,
    toDecimal128(0, 12) AS worker_usd,
    toDecimal128(0, 12) AS wasted_usd,
    reasoner_call AS reasoner_call_usd
FROM verdicts
WHERE run = {run:String} AND action = 'reason'
HAVING events > 0
ORDER BY handler
