-- Labels about events without a verdict, call or outcome in the audit, by source and aspect.
-- Labels of an unknown run are included, independent of the run of the query. They have no effect. Either the event is still in
-- flight, or the id or the run is misspelt.
SELECT
    source,
    aspect,
    count() AS labels,
    uniqExact(event_id) AS events,
    min(event_id) AS example,
    max(labelled_at) AS latest
FROM labels
WHERE
    (
        run = {run:String} AND event_id NOT IN
        (
            SELECT event_id FROM verdicts WHERE run = {run:String}
            UNION ALL SELECT event_id FROM outcomes WHERE run = {run:String}
            UNION ALL SELECT event_id FROM calls WHERE run = {run:String}
        )
    )
    OR run NOT IN
    (
        SELECT DISTINCT run FROM verdicts
        UNION DISTINCT SELECT DISTINCT run FROM outcomes
        UNION DISTINCT SELECT DISTINCT run FROM calls
    )
GROUP BY source, aspect
ORDER BY labels DESC, source, aspect
