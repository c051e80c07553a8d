-- The last attempt of each worker and reasoner at each event, with its event. Two events may share an id, so joins use
-- the content_digest as well. `usd` is the cost of all calls of the tier for the event if live: answers that a replay
-- reused count at their original cost, and one unknown cost makes it unknown.
WITH
    seen AS
    (
        SELECT event_id, content_digest, text, data, image, intents, fingerprint
        FROM verdicts
        WHERE run = {run:String}
        ORDER BY event_time
        LIMIT 1 BY event_id, content_digest
    ),
    spent AS
    (
        SELECT
            tier,
            event_id,
            content_digest,
            if(countIf(cost IS NULL) > 0, NULL, sum(cost)) AS usd
        FROM
        (
            SELECT
                made.tier AS tier,
                made.event_id AS event_id,
                made.content_digest AS content_digest,
                made.cost_usd + if(made.reused_from IS NULL, toDecimal128(0, 12), made.saved_usd) AS cost
            FROM calls AS made
            WHERE made.run = {run:String} AND made.tier IN ('worker', 'reasoner')
                AND made.event_time >= {since:DateTime64(6, 'UTC')} AND made.event_time < {until:DateTime64(6, 'UTC')}
        )
        GROUP BY tier, event_id, content_digest
    )
SELECT
    tried.event_id AS event_id,
    tried.content_digest AS content_digest,
    tried.event_time AS event_time,
    toString(tried.call_id) AS call_id,
    tried.tier AS tier,
    tried.handler AS handler,
    tried.handler_version AS handler_version,
    tried.pipeline AS pipeline,
    tried.status AS status,
    tried.refusal_class AS refusal_class,
    tried.response AS response,
    tried.finish_reason AS finish_reason,
    tried.confidence AS confidence,
    tried.decision AS decision,
    tried.propensity AS propensity,
    toFloat64(spent.usd) AS usd,
    seen.text AS text,
    seen.data AS data,
    seen.image AS image,
    seen.intents AS intents,
    seen.fingerprint AS fingerprint
FROM calls AS tried
INNER JOIN seen ON seen.event_id = tried.event_id AND seen.content_digest = tried.content_digest
LEFT JOIN spent ON spent.tier = tried.tier AND spent.event_id = tried.event_id
    AND spent.content_digest = tried.content_digest
WHERE tried.run = {run:String}
    AND tried.tier IN ('worker', 'reasoner')
    AND tried.decision IN ('accepted', 'escalated', 'failed', 'explored')
    AND tried.event_time >= {since:DateTime64(6, 'UTC')} AND tried.event_time < {until:DateTime64(6, 'UTC')}
ORDER BY tried.started_at DESC, call_id
LIMIT 1 BY tried.tier, tried.event_id, tried.content_digest
SETTINGS join_use_nulls = 1
