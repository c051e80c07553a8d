-- The answers that missed each worker's threshold, by calibration, and the cost of the reasoner for their events.
-- `share` is theirs of the answers that a threshold decided on. Without a calibration the column is empty.
-- Answers that a replay reused count at their original cost.
WITH
    if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be,
    reached AS
    (
        SELECT event_id, content_digest, sum(would_be) AS usd
        FROM calls
        WHERE run = {run:String} AND tier = 'reasoner' AND decision != 'explored'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        GROUP BY event_id, content_digest
    ),
    decided AS
    (
        SELECT
            handler, coalesce(calibration, '') AS calibration, threshold, event_id, content_digest, event_time,
            decision != 'accepted' AS missed
        FROM calls
        WHERE run = {run:String} AND tier = 'worker' AND status = 'answered' AND threshold IS NOT NULL
            AND decision IN ('accepted', 'escalated', 'failed')
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    )
SELECT
    decided.handler AS handler,
    decided.calibration AS calibration,
    argMax(decided.threshold, decided.event_time) AS latest_threshold,
    count() AS answers,
    countIf(decided.missed) AS unsure,
    unsure / answers AS share,
    if(unsure = 0, toDecimal128(0, 12), sumIf(reached.usd, decided.missed)) AS reasoner_usd,
    min(decided.event_time) AS first
FROM decided
LEFT JOIN reached ON reached.event_id = decided.event_id AND reached.content_digest = decided.content_digest
GROUP BY handler, calibration
ORDER BY handler, first
SETTINGS join_use_nulls = 1
