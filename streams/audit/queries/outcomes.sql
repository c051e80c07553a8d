-- Events of a run by state and tier of their outcome, most frequent first.
SELECT state, tier, count() AS events
FROM outcomes
WHERE run = {run:String}
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY state, tier
ORDER BY events DESC, state, tier
