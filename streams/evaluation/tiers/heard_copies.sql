-- Events that repeat an earlier one byte for byte, image and words, at the listeners that look for duplicates.
SELECT
    countIf(place > 1) AS copies,
    countIf(place > 1 AND NOT found) AS missed,
    arraySort(groupArrayIf(5)(id, place > 1 AND NOT found)) AS examples
FROM
(
    SELECT
        heard.event_id AS id,
        heard.intent = 'duplicate' AS found,
        row_number() OVER (PARTITION BY heard.image, heard.task ORDER BY heard.event_time, heard.event_id) AS place
    FROM heard
    WHERE heard.image IS NOT NULL
        AND arrayExists(finding -> JSONExtractString(finding, 'listener') IN {watchers:Array(String)}, heard.findings)
)
