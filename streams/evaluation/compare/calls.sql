-- The calls of each handler in each run, for the events with an outcome in both. `usd` is the known cost of the calls
-- if live, `unpriced` counts calls of unknown cost. `paid` counts calls that cost something in that run, or may have;
-- free calls, such as those of rules, count in `calls` alone. Calls of judges are left out.
SELECT
    run,
    tier,
    handler,
    count() AS calls,
    countIf(NOT cache_hit AND (cost IS NULL OR cost != 0)) AS paid,
    countIf(cache_hit AND reused_from IS NULL) AS cached,
    countIf(reused_from IS NOT NULL) AS reused,
    sum(cost) AS usd,
    countIf(cost IS NULL) AS unpriced
FROM
(
    SELECT
        call.run AS run,
        call.tier AS tier,
        call.handler AS handler,
        call.cache_hit AS cache_hit,
        call.reused_from AS reused_from,
        call.cost_usd + if(call.reused_from IS NULL, toDecimal128(0, 12), call.saved_usd) AS cost
    FROM calls AS call
    WHERE call.run IN ({a:String}, {b:String}) AND call.tier != 'judge'
        AND call.event_time >= {since:DateTime64(6, 'UTC')} AND call.event_time < {until:DateTime64(6, 'UTC')}
        AND call.event_id IN
        (
            SELECT outcome.event_id
            FROM outcomes AS outcome
            WHERE outcome.run IN ({a:String}, {b:String})
                AND outcome.event_time >= {since:DateTime64(6, 'UTC')}
                AND outcome.event_time < {until:DateTime64(6, 'UTC')}
            GROUP BY outcome.event_id
            HAVING uniqExact(outcome.run) = 2
        )
)
GROUP BY run, tier, handler
ORDER BY indexOf(['listener', 'worker', 'reasoner'], tier), handler, run
