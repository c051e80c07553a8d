-- The runs in the audit: live traffic and every replay, with their ended events, calls and cost, judges' calls left out.
-- `version` is the pipeline of the newest event.
SELECT
    known.run AS run,
    sum(known.ended) AS events,
    sum(known.made) AS calls,
    sum(known.reused) AS reused,
    sum(known.usd) AS usd,
    sum(known.would_be) AS would_be_usd,
    min(known.first_event) AS first_event,
    max(known.last_event) AS last_event,
    any(told.base) AS base,
    any(told.pipeline_name) AS pipeline,
    any(told.state) AS state,
    anyIf(known.version, known.version != '') AS version
FROM
(
    SELECT
        run,
        0 AS ended,
        count() AS made,
        countIf(reused_from IS NOT NULL) AS reused,
        sum(cost_usd) AS usd,
        sum(if(reused_from IS NULL, cost_usd, cost_usd + saved_usd)) AS would_be,
        min(event_time) AS first_event,
        max(event_time) AS last_event,
        '' AS version
    FROM calls
    WHERE tier != 'judge'
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY run
    UNION ALL
    SELECT run, count(), 0, 0, NULL, NULL, min(event_time), max(event_time), argMax(pipeline, event_time)
    FROM outcomes
    WHERE event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY run
) AS known
LEFT JOIN runs AS told ON told.run = known.run
GROUP BY run
ORDER BY run != 'live', run
SETTINGS join_use_nulls = 1
