-- Labels about events that the audit does not know, by source and aspect: no verdict, call or outcome has their event_id.
-- Labels of a run that the audit does not know are among them, whichever run is asked about. They count for nothing. Either the
-- event is still on its way, or the id or the run is misspelt.
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
