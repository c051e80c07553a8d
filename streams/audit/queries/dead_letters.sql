-- What could not be read or done, by topic and reason.
SELECT topic, reason, count() AS messages
FROM dead_letters
WHERE run = {run:String}
GROUP BY topic, reason
ORDER BY messages DESC, topic, reason
