-- How many tasks and events there are, and how they were routed. A task counts by its oldest event.
SELECT
    count() AS tasks,
    sum(repeats) AS events,
    countIf(first_action = 'ignore') AS ignored,
    countIf(first_intent = 'unsure') AS unsure,
    sum(duplicate_events) AS duplicates
FROM
(
    SELECT
        count() AS repeats,
        argMin(heard.action, (heard.event_time, heard.event_id)) AS first_action,
        argMin(heard.intent, (heard.event_time, heard.event_id)) AS first_intent,
        countIf(heard.intent = 'duplicate') AS duplicate_events
    FROM heard
    GROUP BY heard.task
)
