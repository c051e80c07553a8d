-- What each worker is worth: its events and what they cost, how many it passed on, and what an event costs the reasoner.
-- Of an event that was passed on every call was wasted, its samples and retries too.
-- A row without a worker counts the events a route sent straight to the reasoner.
-- `asked` are the events that a call was made for, `reasoner_usd` is what the reasoner took for them, without exploration. Both
-- sides of what a worker saves have the same store, so events that it answers save nothing. These, `compared_usd` and
-- `reasoner_call_usd` are of events whose cost is known throughout; `left_out` are the others. What a replay reused counts at what it cost when it was made.
WITH
    if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be,
    (NOT cache_hit OR reused_from IS NOT NULL)
        AND NOT (status = 'failed' AND coalesce(error_type, '') IN ('circuit_open', 'deadline')) AS happened,
    happened AND status != 'failed' AS replied,
    each AS
    (
        SELECT
            event_id,
            content_digest,
            min(event_time) AS at,
            countIf(happened AND would_be IS NULL) > 0 AS unpriced,
            countIf(replied AND tier != 'listener' AND decision != 'explored') > 0 AS asked,
            sumIf(would_be, decision != 'explored') AS usd,
            sumIf(would_be, tier = 'reasoner' AND happened) AS reasoner_usd,
            countIf(tier = 'reasoner' AND replied) > 0
                AND countIf(tier = 'reasoner' AND happened AND would_be IS NULL) = 0 AS reasoned
        FROM calls
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        GROUP BY event_id, content_digest
    ),
    (SELECT sumIf(reasoner_usd, reasoned) / nullIf(countIf(reasoned), 0) FROM each) AS reasoner_call,
    spans AS
    (
        SELECT greatest(1., dateDiff('second', min(event_time), max(event_time)) / 86400) AS days
        FROM outcomes
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ),
    reached AS
    (
        SELECT event_id, content_digest, sum(would_be) AS usd
        FROM calls
        WHERE run = {run:String} AND tier = 'reasoner' AND decision != 'explored'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        GROUP BY event_id, content_digest
    ),
    went AS
    (
        SELECT handler, event_id, content_digest, max(decision = 'escalated') AS passed_on, sum(would_be) AS usd
        FROM calls
        WHERE run = {run:String} AND tier = 'worker'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        GROUP BY handler, event_id, content_digest
        UNION ALL
        SELECT '' AS handler, event_id, content_digest, 1 AS passed_on, toDecimal128(0, 12) AS usd
        FROM verdicts
        WHERE run = {run:String} AND action = 'reason'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        GROUP BY event_id, content_digest
    )
SELECT
    went.handler AS handler,
    count() AS events,
    events / (SELECT days FROM spans) AS events_a_day,
    countIf(each.asked AND NOT each.unpriced) AS asked,
    countIf(each.asked AND each.unpriced) AS left_out,
    (asked + left_out) / (SELECT days FROM spans) AS asked_a_day,
    countIf(went.passed_on) AS escalated,
    countIf(went.passed_on AND each.asked AND NOT each.unpriced) AS passed_on_asked,
    sum(went.usd) AS worker_usd,
    if(escalated = 0, toDecimal128(0, 12), sumIf(went.usd, went.passed_on)) AS wasted_usd,
    sumIf(went.usd, NOT each.unpriced) AS compared_usd,
    coalesce(sumIf(reached.usd, NOT each.unpriced), toDecimal128(0, 12)) AS reasoner_usd,
    reasoner_call AS reasoner_call_usd
FROM went
LEFT JOIN each ON each.event_id = went.event_id AND each.content_digest = went.content_digest
LEFT JOIN reached ON reached.event_id = went.event_id AND reached.content_digest = went.content_digest
GROUP BY handler
ORDER BY handler
SETTINGS join_use_nulls = 1
