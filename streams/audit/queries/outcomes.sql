-- How the events of a run ended: state and tier, most frequent first.
SELECT state, tier, count() AS events
FROM outcomes
WHERE run = {run:String}
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY state, tier
ORDER BY events DESC, state, tier
