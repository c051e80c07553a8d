-- Calls and cost of each handler. Money is null if no call of the handler has a known price.
-- `off_schema` counts replies that broke the schema, whether the provider enforces it or the prompt states it.
-- `would_be_usd` is the cost that live traffic would have had: a replay pays nothing for reused answers.
SELECT
    tier,
    handler,
    any(request_model) AS model,
    any(priced_as) AS priced_as,
    count() AS calls,
    countIf(cache_hit) AS cached,
    countIf(refused AND NOT cache_hit) AS refused,
    countIf(decision = 'escalated') AS escalated,
    countIf(status IN ('invalid', 'failed')) AS broken,
    countIf(status = 'invalid' AND error_type IN ('schema', 'not_json') AND NOT cache_hit) AS off_schema,
    sum(input_tokens) AS tokens_in,
    sum(output_tokens) AS tokens_out,
    sum(cost_usd) AS usd,
    sum(saved_usd) AS saved_usd,
    sum(if(reused_from IS NULL, cost_usd, cost_usd + calls.saved_usd)) AS would_be_usd
FROM calls
WHERE run = {run:String}
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY tier, handler
ORDER BY indexOf(['listener', 'worker', 'reasoner', 'judge'], tier), handler
