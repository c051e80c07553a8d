-- The calls whose answers a panel's cases show, with what the pipeline knew of each answer when it was given.
WITH
    shown AS
    (
        SELECT event_id, event_time, JSONExtractString(arrayJoin(answers), 'call_id') AS call_id
        FROM panel_cases
        WHERE panel = {panel:String}
    ),
    ended AS
    (
        SELECT run, event_id, any(intent) AS intent
        FROM outcomes
        WHERE event_time >= (SELECT min(event_time) FROM shown)
            AND event_time <= (SELECT max(event_time) FROM shown)
            AND event_id IN (SELECT event_id FROM shown)
        GROUP BY run, event_id
    )
SELECT
    toString(called.call_id) AS call_id,
    called.confidence AS confidence,
    called.decision AS decision,
    lengthUTF8(coalesce(called.response, '')) AS characters,
    ended.intent AS intent
FROM calls AS called
LEFT JOIN ended ON ended.run = called.run AND ended.event_id = called.event_id
WHERE called.event_time >= (SELECT min(event_time) FROM shown)
    AND called.event_time <= (SELECT max(event_time) FROM shown)
    AND called.event_id IN (SELECT event_id FROM shown)
    AND toString(called.call_id) IN (SELECT call_id FROM shown)
