-- Where the money went, and an estimate of what every event at the reasoner would have cost: the mean cost of a
-- reasoner call of this run, times the events. Null where a price is not known.
SELECT
    (SELECT count() FROM outcomes WHERE run = {run:String}) AS events,
    sum(cost_usd) AS spent_usd,
    sum(saved_usd) AS saved_by_cache_usd,
    countIf(cost_usd IS NULL AND status != 'failed') AS calls_without_price,
    sumIf(cost_usd, tier = 'reasoner') / nullIf(countIf(tier = 'reasoner' AND NOT cache_hit AND cost_usd IS NOT NULL), 0)
        AS reasoner_call_usd,
    reasoner_call_usd * events AS all_reasoner_usd,
    all_reasoner_usd / nullIf(spent_usd, 0) AS times_cheaper
FROM calls
WHERE run = {run:String}
