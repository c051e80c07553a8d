-- Events that ended by day (UTC), by outcome and by tier.
SELECT
    toDate(event_time) AS day,
    count() AS events,
    countIf(state = 'ignored') AS ignored,
    countIf(state = 'duplicate') AS duplicates,
    countIf(state = 'answered' AND tier = 'worker') AS by_worker,
    countIf(state = 'answered' AND tier = 'reasoner') AS by_reasoner,
    countIf(state = 'failed') AS failed,
    countIf(tier = 'reasoner') / events AS reasoner_share
FROM outcomes
WHERE run = {run:String}
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY day
ORDER BY day
