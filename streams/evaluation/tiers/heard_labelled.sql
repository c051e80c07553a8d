-- The events with a label of their intent, oldest first.
SELECT heard.event_id, heard.task, heard.intent, heard.findings, heard.duplicate_of
FROM heard
WHERE heard.event_id IN
(
    SELECT labels.event_id
    FROM labels
    WHERE labels.run IN ({run:String}, {base:String}) AND labels.aspect = 'intent' AND labels.label != ''
)
ORDER BY heard.event_time, heard.event_id
