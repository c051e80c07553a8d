-- The answered events of a part of a run, each with its content, its cost, and its worker's and its reasoner's last answer.
-- Two events may share an id, so joins use the content_digest as well. An event with more than one verdict counts once.
WITH
    seen AS
    (
        SELECT event_id, content_digest, text, data, image, fingerprint, action, handler
        FROM verdicts
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        ORDER BY decided_at
        LIMIT 1 BY event_id, content_digest
    ),
    tried AS
    (
        SELECT
            event_id,
            content_digest,
            tier,
            argMax(
                tuple(toString(call_id), handler, status, response, finish_reason, confidence, threshold),
                (started_at, call_id)
            ) AS last
        FROM calls
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
            AND ((tier = 'worker' AND decision IN ('accepted', 'escalated', 'failed'))
                OR (tier = 'reasoner' AND status = 'answered' AND decision IN ('accepted', 'explored')))
        GROUP BY event_id, content_digest, tier
    ),
    worked AS
    (
        SELECT event_id, content_digest, last.1 AS call_id, last.2 AS handler, last.3 AS status, last.4 AS response,
            last.5 AS finish_reason, last.6 AS confidence, last.7 AS threshold
        FROM tried
        WHERE tier = 'worker'
    ),
    reasoned AS
    (
        SELECT event_id, content_digest, last.1 AS call_id, last.2 AS handler, last.4 AS response,
            last.5 AS finish_reason, last.6 AS confidence
        FROM tried
        WHERE tier = 'reasoner'
    ),
    spent AS
    (
        SELECT event_id, content_digest, usd
        FROM event_costs(
            run = {run:String}, since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')}
        )
    ),
    erased AS (SELECT DISTINCT event_id, true AS gone FROM erased_events)
SELECT
    outcome.event_id AS event_id,
    outcome.event_time AS event_time,
    outcome.tier AS tier,
    outcome.handler AS handler,
    outcome.intent AS intent,
    outcome.answer AS answer,
    coalesce(outcome.call_id, '') AS call_id,
    coalesce(erased.gone, false) AS erased,
    seen.text AS text,
    seen.data AS data,
    seen.image AS image,
    seen.fingerprint AS fingerprint,
    seen.action AS action,
    seen.handler AS routed,
    worked.call_id AS worker_call,
    worked.handler AS worker,
    worked.status AS worker_status,
    worked.response AS worker_response,
    worked.finish_reason AS worker_finish_reason,
    worked.confidence AS worker_confidence,
    worked.threshold AS worker_threshold,
    reasoned.call_id AS reasoner_call,
    reasoned.handler AS reasoner,
    reasoned.response AS reasoner_response,
    reasoned.finish_reason AS reasoner_finish_reason,
    reasoned.confidence AS reasoner_confidence,
    toFloat64(coalesce(spent.usd, 0)) AS usd
FROM outcomes AS outcome
LEFT JOIN seen ON seen.event_id = outcome.event_id AND seen.content_digest = outcome.content_digest
LEFT JOIN worked ON worked.event_id = outcome.event_id AND worked.content_digest = outcome.content_digest
LEFT JOIN reasoned ON reasoned.event_id = outcome.event_id AND reasoned.content_digest = outcome.content_digest
LEFT JOIN spent ON spent.event_id = outcome.event_id AND spent.content_digest = outcome.content_digest
LEFT JOIN erased ON erased.event_id = outcome.event_id
WHERE outcome.run = {run:String}
    AND outcome.state = 'answered' AND outcome.tier IN ('worker', 'reasoner')
    AND outcome.event_time >= {since:DateTime64(6, 'UTC')} AND outcome.event_time < {until:DateTime64(6, 'UTC')}
ORDER BY event_time, event_id
SETTINGS join_use_nulls = 1
