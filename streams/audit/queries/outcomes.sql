-- How the events of a run ended: state and tier, most frequent first.
SELECT state, tier, count() AS events
FROM outcomes
WHERE run = {run:String}
GROUP BY state, tier
ORDER BY events DESC, state, tier
