-- Cost by day (UTC) and tier, to compare with the pipeline's budgets.
-- Days, since and until are those of the call, not of its event, because the call uses that day's budget.
SELECT toDate(started_at) AS day, tier, sum(cost_usd) AS usd
FROM calls
WHERE run = {run:String}
    AND started_at >= {since:DateTime64(6, 'UTC')} AND started_at < {until:DateTime64(6, 'UTC')}
GROUP BY day, tier
ORDER BY day, indexOf(['listener', 'worker', 'reasoner', 'judge'], tier)
