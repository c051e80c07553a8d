-- Models whose account, key, credit, name or address was refused, which an operator must correct: time and message.
-- No event ends because of it: the tasks wait and are tried again.
SELECT
    request_model AS model,
    error_type AS fault,
    count() AS calls,
    uniqExact(event_id) AS events,
    min(started_at) AS first,
    max(started_at) AS latest,
    argMax(error, started_at) AS said
FROM calls
WHERE run = {run:String} AND status = 'failed' AND error_type IN ('unauthorized', 'not_found')
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY model, fault
ORDER BY latest DESC, model, fault
