-- Savings by day (UTC) against the reasoner for every event that asked a model, as in `money`.
-- Both sides have the same store, duplicates and ignored events; listeners are charged to tiering, exploration is left out, and
-- so are events with a call of unknown cost (`left_out`). An event at the reasoner counts at the mean of those that reached it
-- in the whole time of the query. `low` and `high` are a 95 % interval of the savings, by Student's distribution of that mean.
WITH
    -- Student's 97.5 % quantile, by the expansion of Cornish and Fisher (1960); good to 1 % from four degrees of freedom on.
    freedom -> 1.95996 + 2.37227 / freedom + 2.82250 / pow(freedom, 2) + 2.55585 / pow(freedom, 3) AS student,
    each AS
    (
        SELECT *
        FROM event_costs(
            run = {run:String}, since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')}
        )
    ),
    asked_all AS
    (
        SELECT
            countIf(reasoned) AS reasoned_events,
            sumIf(reasoner_usd, reasoned) / nullIf(reasoned_events, 0) AS reasoner_call,
            if(reasoned_events < 5, NULL, student(reasoned_events - 1)
                * stddevSampIf(toFloat64(reasoner_usd), reasoned) / sqrt(reasoned_events)) AS half
        FROM each
    )
SELECT
    day,
    sum(ended) AS events,
    sum(asking) AS asking_events,
    sum(open) AS left_out,
    sum(all_usd) AS would_be_usd,
    sum(usd) AS tiered_usd,
    any(asked_all.reasoner_call) * asking_events AS all_reasoner_usd,
    all_reasoner_usd - tiered_usd AS net_saved_usd,
    toFloat64(net_saved_usd) - any(asked_all.half) * asking_events AS net_saved_low,
    toFloat64(net_saved_usd) + any(asked_all.half) * asking_events AS net_saved_high,
    toFloat64(net_saved_usd) / nullIf(toFloat64(all_reasoner_usd), 0) AS net_saved_share
FROM
(
    SELECT
        toDate(at) AS day, 0 AS ended, countIf(asked AND NOT unpriced) AS asking, countIf(asked AND unpriced) AS open,
        sumIf(each.usd, NOT unpriced) AS usd, sum(each.all_usd) AS all_usd
    FROM each
    GROUP BY day
    UNION ALL
    SELECT toDate(event_time) AS day, count() AS ended, 0 AS asking, 0 AS open, NULL AS usd, NULL AS all_usd
    FROM outcomes
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY day
) AS days, asked_all
GROUP BY day
ORDER BY day
