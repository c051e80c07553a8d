-- What each handler did and cost. `usd` is null when no call of the handler has a known price.
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
    sum(input_tokens) AS tokens_in,
    sum(output_tokens) AS tokens_out,
    sum(cost_usd) AS usd,
    sum(saved_usd) AS saved_usd
FROM calls
WHERE run = {run:String}
GROUP BY tier, handler
ORDER BY indexOf(['listener', 'worker', 'reasoner'], tier), handler
