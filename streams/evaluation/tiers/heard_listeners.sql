-- How many tasks each listener looked at, and in how many it found a label.
SELECT
    JSONExtractString(finding, 'listener') AS listener,
    uniqExact(heard.task) AS tasks,
    uniqExactIf(heard.task, JSONExtractString(finding, 'label') != '') AS found
FROM heard
ARRAY JOIN heard.findings AS finding
GROUP BY listener
ORDER BY tasks DESC, listener
