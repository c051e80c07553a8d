-- The newest of the workers' answers, newest first, each with its event, the latest label and the reasoner's answer, if any.
-- Two events may share an id, so joins use the content_digest as well.
-- Cases with one time are ordered by their calls' ids, which are random: event ids may rise with the events' content,
-- and the tests of exchangeability take the order for that of the stream.
WITH
    truth AS
    (
        SELECT event_id, argMax(label, (labelled_at, source)) AS label
        FROM labels
        WHERE run = {run:String} AND aspect = 'answer' AND labels.label != ''
        GROUP BY event_id
    ),
    seen AS
    (
        SELECT event_id, content_digest, text, data, image, intents, fingerprint
        FROM verdicts
        WHERE run = {run:String} AND (NOT {labelled:Bool} OR event_id IN (SELECT event_id FROM truth))
        ORDER BY event_time
        LIMIT 1 BY event_id, content_digest
    ),
    reasoned AS
    (
        SELECT
            event_id,
            content_digest,
            argMax(handler, started_at) AS handler,
            argMax(response, started_at) AS response,
            argMax(finish_reason, started_at) AS finish_reason,
            argMax(cost_usd, started_at) AS cost_usd
        FROM calls
        WHERE run = {run:String} AND tier = 'reasoner' AND status = 'answered' AND decision IN ('accepted', 'explored')
            AND (NOT {labelled:Bool} OR event_id IN (SELECT event_id FROM truth))
        GROUP BY event_id, content_digest
    )
SELECT
    worked.event_id AS event_id,
    worked.event_time AS event_time,
    toString(worked.call_id) AS call_id,
    worked.handler AS handler,
    worked.handler_version AS handler_version,
    worked.status AS status,
    worked.refusal_class AS refusal_class,
    worked.response AS response,
    worked.finish_reason AS finish_reason,
    worked.sources AS sources,
    worked.raw_confidence AS raw_confidence,
    worked.cache_hit AS cache_hit,
    seen.fingerprint AS fingerprint,
    worked.cost_usd AS cost_usd,
    worked.confidence AS confidence,
    worked.calibration AS calibration,
    worked.pipeline AS pipeline,
    worked.decision AS decision,
    worked.propensity AS propensity,
    worked.explored AS explored,
    seen.text AS text,
    seen.data AS data,
    seen.image AS image,
    seen.intents AS intents,
    truth.label AS label,
    reasoned.handler AS reasoner,
    reasoned.response AS reasoner_response,
    reasoned.finish_reason AS reasoner_finish_reason,
    reasoned.cost_usd AS reasoner_cost_usd
FROM calls AS worked
INNER JOIN seen ON seen.event_id = worked.event_id AND seen.content_digest = worked.content_digest
LEFT JOIN truth ON truth.event_id = worked.event_id
LEFT JOIN reasoned ON reasoned.event_id = worked.event_id AND reasoned.content_digest = worked.content_digest
WHERE worked.run = {run:String}
    AND worked.tier = 'worker'
    AND worked.handler IN {workers:Array(String)}
    AND worked.decision IN ('accepted', 'escalated', 'failed')
    AND worked.event_time >= {since:DateTime64(6, 'UTC')}
    AND (NOT {labelled:Bool} OR worked.event_id IN (SELECT event_id FROM truth))
ORDER BY event_time DESC, call_id DESC
LIMIT {newest:UInt32}
SETTINGS join_use_nulls = 1
