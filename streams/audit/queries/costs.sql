-- Calls, tokens and cost by day (UTC), tier and model.
-- `unpriced` counts the calls of unknown cost: no sum includes them.
WITH if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be
SELECT
    toDate(event_time) AS day,
    tier,
    model,
    count() AS calls,
    sum(input_tokens) AS tokens_in,
    sum(output_tokens) AS tokens_out,
    sum(cost_usd) AS usd,
    sum(would_be) AS would_be_usd,
    countIf(would_be IS NULL) AS unpriced
FROM calls
WHERE run = {run:String}
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY day, tier, model
ORDER BY day, indexOf(['listener', 'worker', 'reasoner', 'judge'], tier), model
