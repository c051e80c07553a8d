-- Events at each place of the pipeline: handlers, intents and outcomes, with cost, escalations and failures of handlers.
-- Retries and samples of an attempt count once. An intent's `via` is its route, an outcome's `via` the tier that ended the event.
SELECT
    place,
    name,
    via,
    count() AS events,
    if(place = 'worker', countIf(note = 'escalated'), NULL) AS escalated,
    if(place IN ('intent', 'outcome'), NULL, countIf(broken)) AS failed,
    sum(cost) AS usd
FROM
(
    SELECT
        tier AS place, handler AS name, '' AS via, decision AS note, status IN ('failed', 'invalid') AS broken, cost_usd AS cost
    FROM calls
    WHERE run = {run:String} AND tier != 'judge' AND decision NOT IN ('retried', 'sampled', 'deferred')
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    UNION ALL
    SELECT 'intent', intents[1], if(handler = '', action, concat(action, ' ', handler)), '', false, NULL
    FROM verdicts
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    UNION ALL
    SELECT 'outcome', state, tier, '', false, NULL
    FROM outcomes
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
)
GROUP BY place, name, via
ORDER BY indexOf(['listener', 'intent', 'worker', 'reasoner', 'outcome'], place), events DESC, name, via
