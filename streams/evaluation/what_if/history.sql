-- Each event that a change may concern: its route, the worker's last attempt, the reasoner's answer, the latest label.
-- Costs are those of a live run: answers reused by a replay count at their original cost, and one unknown cost, or one
-- attempt without a call, makes the event's unknown.
WITH
    seen AS
    (
        SELECT
            event_id, content_digest, event_time, intents, action, handler, pipeline,
            if(empty(text) AND empty(coalesce(data, '')) AND image IS NULL, '',
                hex(sipHash128(text, coalesce(data, ''), coalesce(image, '')))) AS task
        FROM verdicts
        WHERE run = {run:String} AND event_time >= {since:DateTime64(6, 'UTC')}
        ORDER BY event_time
        LIMIT 1 BY event_id
    ),
    cost_usd + if(reused_from IS NULL, toDecimal128(0, 12), saved_usd) AS would_cost,
    -- An attempt that the breaker or a deadline stopped cost nothing and says nothing about the cost of a call.
    NOT (status = 'failed' AND coalesce(error_type, '') IN ('circuit_open', 'deadline')) AS called,
    truth AS
    (
        SELECT event_id, argMax(label, (labelled_at, source, run)) AS label
        FROM labels
        WHERE run IN ({base:String}, {run:String}) AND aspect = 'answer' AND labels.label != ''
        GROUP BY event_id
    ),
    spent AS
    (
        SELECT
            event_id,
            content_digest,
            if(countIf((would_cost IS NULL OR NOT called) AND tier = 'worker') > 0, NULL,
                sumIf(would_cost, tier = 'worker')) AS worker_usd,
            if(countIf((would_cost IS NULL OR NOT called) AND tier = 'reasoner') > 0, NULL,
                sumIf(would_cost, tier = 'reasoner')) AS reasoner_usd
        FROM calls
        WHERE run = {run:String} AND tier IN ('worker', 'reasoner') AND event_time >= {since:DateTime64(6, 'UTC')}
        GROUP BY event_id, content_digest
    ),
    worked AS
    (
        SELECT
            event_id, content_digest, handler, toString(call_id) AS call_id, handler_version, pipeline, status,
            response, finish_reason, raw_confidence, confidence, decision, propensity, explored, cache_hit AND reused_from IS NULL AS stored
        FROM calls
        WHERE run = {run:String} AND tier = 'worker' AND decision IN ('accepted', 'escalated', 'failed')
            AND event_time >= {since:DateTime64(6, 'UTC')}
        ORDER BY started_at DESC
        LIMIT 1 BY event_id, content_digest
    ),
    reasoned AS
    (
        SELECT event_id, content_digest, handler, status, response, finish_reason
        FROM calls
        WHERE run = {run:String} AND tier = 'reasoner' AND decision IN ('accepted', 'explored', 'failed')
            AND event_time >= {since:DateTime64(6, 'UTC')}
        ORDER BY started_at DESC
        LIMIT 1 BY event_id, content_digest
    )
SELECT
    seen.event_id AS event_id,
    if(empty(seen.intents), '', seen.intents[1]) AS intent,
    seen.action AS action,
    seen.handler AS route_handler,
    seen.pipeline AS pipeline,
    seen.task AS task,
    worked.handler AS handler,
    worked.call_id AS call_id,
    worked.handler_version AS handler_version,
    worked.status AS status,
    if(reasoned.handler IS NULL AND truth.label IS NULL, NULL, worked.response) AS response,
    worked.finish_reason AS finish_reason,
    worked.raw_confidence AS raw_confidence,
    worked.confidence AS confidence,
    worked.decision AS decision,
    worked.propensity AS propensity,
    worked.explored AS explored,
    worked.stored AS stored,
    reasoned.handler AS reasoner,
    reasoned.status AS reasoner_status,
    reasoned.response AS reasoner_response,
    reasoned.finish_reason AS reasoner_finish_reason,
    truth.label AS label,
    toFloat64(spent.worker_usd) AS worker_usd,
    toFloat64(spent.reasoner_usd) AS reasoner_usd
FROM seen
LEFT JOIN truth ON truth.event_id = seen.event_id
LEFT JOIN spent ON spent.event_id = seen.event_id AND spent.content_digest = seen.content_digest
LEFT JOIN worked ON worked.event_id = seen.event_id AND worked.content_digest = seen.content_digest
LEFT JOIN reasoned ON reasoned.event_id = seen.event_id AND reasoned.content_digest = seen.content_digest
WHERE seen.action IN ('ignore', 'work', 'reason')
    AND
    (
        (seen.action = 'work' AND seen.handler IN {workers:Array(String)})
        OR seen.intents[1] IN {intents:Array(String)}
        OR ({unsure:Bool} AND seen.intents[1] NOT IN {routed:Array(String)})
    )
ORDER BY seen.event_time, seen.event_id
SETTINGS join_use_nulls = 1
