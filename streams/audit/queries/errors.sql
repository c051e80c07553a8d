-- What broke, by the model that was asked and type of error, and how much of the model's calls that is (cache hits left out).
-- `retried` of them were tried again.
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
