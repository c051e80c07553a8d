-- Messages that could not be read or processed, by topic and reason.
SELECT topic, reason, count() AS messages
FROM dead_letters
WHERE run = {run:String}
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY topic, reason
ORDER BY messages DESC, topic, reason
