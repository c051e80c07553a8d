-- Runs in the audit, live traffic first, with the times of their first and last event.
SELECT run, min(event_time) AS first_event, max(event_time) AS last_event
FROM verdicts_rows
WHERE event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY run
ORDER BY run != 'live', last_event DESC, run
