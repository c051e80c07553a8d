-- Day by day (UTC), what tiering saved against every event at the reasoner, all tiers' own cost taken off.
-- An event at the reasoner is counted at the mean cost of a reasoner call of the whole time asked about.
WITH
    if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be,
    (
        SELECT sum(would_be) / nullIf(countIf((NOT cache_hit OR reused_from IS NOT NULL) AND would_be IS NOT NULL), 0)
        FROM calls
        WHERE run = {run:String} AND tier = 'reasoner'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ) AS reasoner_call
SELECT
    day,
    sum(ended) AS events,
    sum(usd) AS would_be_usd,
    reasoner_call * events AS all_reasoner_usd,
    all_reasoner_usd - would_be_usd AS net_saved_usd,
    toFloat64(net_saved_usd) / nullIf(toFloat64(all_reasoner_usd), 0) AS net_saved_share
FROM
(
    SELECT toDate(event_time) AS day, 0 AS ended, sum(would_be) AS usd
    FROM calls
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY day
    UNION ALL
    SELECT toDate(event_time) AS day, count() AS ended, NULL AS usd
    FROM outcomes
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY day
)
GROUP BY day
ORDER BY day
