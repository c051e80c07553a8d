-- Cost and savings of each worker: its events, their cost, its escalations, and the cost of an event at the reasoner.
-- All calls of an escalated event are wasted, including its samples and retries.
-- The row without a worker counts the events that a route sent straight to the reasoner.
-- `asked` counts the events with a call, `reasoner_usd` is the reasoner's cost for them, without exploration. Both sides of the
-- comparison have the same store, so events that it answers save nothing. These columns, `compared_usd` and `reasoner_call_usd`
-- cover the events whose cost is known; `left_out` counts the others. Answers that a replay reused count at their original cost.
WITH
    if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be,
    each AS
    (
        SELECT *
        FROM event_costs(
            run = {run:String}, since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')}
        )
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
