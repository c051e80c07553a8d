-- Calls, tokens and cost by day (UTC), tier, handler and model, by the day of the call, as budgets count.
-- `unpriced` counts the calls of unknown cost: no sum includes them. `first` is the first call of the day.
-- Days, since and until are those of the call, not of its event.
SELECT
    toDate(started_at) AS day,
    tier,
    handler,
    model,
    count() AS calls,
    sum(input_tokens) AS tokens_in,
    sum(output_tokens) AS tokens_out,
    sum(cost_usd) AS usd,
    countIf(cost_usd IS NULL) AS unpriced,
    min(started_at) AS first
FROM calls
WHERE run = {run:String} AND tier != 'judge'
    AND started_at >= {since:DateTime64(6, 'UTC')} AND started_at < {until:DateTime64(6, 'UTC')}
    -- A call begins after its event, and the rows are sorted by the event's time.
    AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY day, tier, handler, model
ORDER BY day, indexOf(['listener', 'worker', 'reasoner'], tier), handler, model
