-- Hit rate of each handler's store, and the money it saved. Answers that a replay reused are separate. Judges have no store.
SELECT
    tier,
    handler,
    count() AS calls,
    countIf(cache_hit AND reused_from IS NULL) AS hits,
    hits / calls AS hit_rate,
    sumIf(saved_usd, reused_from IS NULL) AS hits_saved_usd,
    countIf(reused_from IS NOT NULL) AS reused,
    sumIf(saved_usd, reused_from IS NOT NULL) AS reuse_saved_usd
FROM calls
WHERE run = {run:String} AND tier != 'judge'
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY tier, handler
ORDER BY indexOf(['listener', 'worker', 'reasoner', 'judge'], tier), handler
