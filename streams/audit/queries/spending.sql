-- Spending by day (UTC) and tier, to hold against the pipeline's budgets.
SELECT toDate(started_at) AS day, tier, sum(cost_usd) AS usd
FROM calls
WHERE run = {run:String}
GROUP BY day, tier
ORDER BY day, indexOf(['listener', 'worker', 'reasoner'], tier)
