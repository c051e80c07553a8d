-- Routes of the events: intent, route, count and confidence.
SELECT
    intents[1] AS intent,
    action,
    handler,
    count() AS events,
    avg(confidence) AS mean_confidence
FROM
(
    SELECT intents, action, handler, confidence
    FROM verdicts
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ORDER BY event_time
    LIMIT 1 BY event_id
)
GROUP BY intent, action, handler
ORDER BY events DESC, intent, action, handler
