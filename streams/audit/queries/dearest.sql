-- The most expensive events, at the cost that live traffic would have had. `unpriced` calls are in no sum, nor are judges' calls.
-- limit = 20: number of events
WITH if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be
SELECT
    event_id,
    min(calls.event_time) AS event_time,
    sum(would_be) AS would_be_usd,
    sumIf(would_be, tier = 'worker') AS worker_usd,
    sumIf(would_be, tier = 'reasoner') AS reasoner_usd,
    sum(input_tokens) AS tokens_in,
    sum(output_tokens) AS tokens_out,
    count() AS calls,
    countIf(would_be IS NULL) AS unpriced
FROM calls
WHERE calls.run = {run:String} AND tier != 'judge'
    AND calls.event_time >= {since:DateTime64(6, 'UTC')} AND calls.event_time < {until:DateTime64(6, 'UTC')}
GROUP BY event_id
ORDER BY would_be_usd DESC NULLS LAST, event_id
LIMIT {limit:UInt32}
