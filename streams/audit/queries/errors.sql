-- Failed calls by requested model and type of error, and their share of the model's calls (without cache hits).
-- `retried` counts those that were retried.
SELECT
    provider,
    asked AS model,
    failure AS error,
    broken,
    retried,
    sum(tried) OVER (PARTITION BY provider, asked) AS calls,
    broken / calls AS rate
FROM
(
    SELECT
        provider,
        request_model AS asked,
        if(status IN ('failed', 'invalid'), coalesce(error_type, status), '') AS failure,
        count() AS tried,
        countIf(status IN ('failed', 'invalid')) AS broken,
        countIf(decision = 'retried') AS retried
    FROM calls
    WHERE run = {run:String} AND NOT cache_hit
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY provider, asked, failure
)
QUALIFY failure != ''
ORDER BY broken DESC, provider, model, error
