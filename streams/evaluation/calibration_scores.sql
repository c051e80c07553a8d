-- The raw scores of the tasks that a worker answered since its calibration first decided, newest first.
-- A task counts once, with its first answer that came from a model. `tasks` counts all of them.
SELECT raw_confidence, call_id, count() OVER () AS tasks
FROM
(
    SELECT raw_confidence, toString(calls.call_id) AS call_id, event_time
    FROM calls
    WHERE run = {run:String} AND tier = 'worker' AND handler = {worker:String} AND status = 'answered' AND NOT cache_hit
        AND decision IN ('accepted', 'escalated', 'failed')
        AND event_time >= (
            SELECT minOrNull(event_time) FROM calls
            WHERE run = {run:String} AND tier = 'worker' AND calibration = {calibration:String}
        )
    ORDER BY event_time, call_id
    LIMIT 1 BY if(fingerprint = '', event_id, fingerprint)
)
ORDER BY event_time DESC, call_id DESC
LIMIT {newest:UInt32}
