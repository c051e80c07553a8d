-- Where the money went, and an estimate of what every event at the reasoner would have cost.
-- The estimate is the mean cost of a reasoner call of this run, times the events. Null where a price is not known.
-- `would_be_usd` is what live traffic would have cost: a replay gets the answers that it reuses for nothing.
WITH if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be
SELECT
    (
        SELECT count() FROM outcomes
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ) AS events,
    sum(cost_usd) AS spent_usd,
    sum(would_be) AS would_be_usd,
    sumIf(saved_usd, reused_from IS NULL) AS saved_by_cache_usd,
    countIf(would_be IS NULL AND status != 'failed') AS calls_without_price,
    sumIf(would_be, tier = 'reasoner')
        / nullIf(countIf(tier = 'reasoner' AND (NOT cache_hit OR reused_from IS NOT NULL) AND would_be IS NOT NULL), 0)
        AS reasoner_call_usd,
    reasoner_call_usd * events AS all_reasoner_usd,
    all_reasoner_usd - would_be_usd AS net_saved_usd,
    all_reasoner_usd / nullIf(would_be_usd, 0) AS times_cheaper
FROM calls
WHERE run = {run:String}
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
