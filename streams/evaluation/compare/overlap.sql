-- The numbers of events with an outcome in both runs and in one alone, with some ids of the latter.
SELECT
    countIf(in_a AND in_b) AS both,
    countIf(in_a AND NOT in_b) AS only_a,
    countIf(in_b AND NOT in_a) AS only_b,
    arraySort(groupArrayIf(20)(event_id, in_a AND NOT in_b)) AS ids_only_a,
    arraySort(groupArrayIf(20)(event_id, in_b AND NOT in_a)) AS ids_only_b
FROM
(
    SELECT
        outcome.event_id AS event_id,
        countIf(outcome.run = {a:String}) > 0 AS in_a,
        countIf(outcome.run = {b:String}) > 0 AS in_b
    FROM outcomes AS outcome
    WHERE outcome.run IN ({a:String}, {b:String})
        AND outcome.event_time >= {since:DateTime64(6, 'UTC')} AND outcome.event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY outcome.event_id
    ORDER BY event_id
)
