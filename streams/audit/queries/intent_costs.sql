-- Cost of the events of each intent, in all and by tier, highest first. Events that are not routed yet are under ''.
-- `unpriced` counts the calls of unknown cost: no sum includes them, and `usd_an_event` excludes their events.
WITH if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be
SELECT
    intents[1] AS intent,
    count() AS events,
    countIf(asked > 0) AS reasoned,
    sum(usd) AS would_be_usd,
    sum(worker) AS worker_usd,
    sum(reasoner) AS reasoner_usd,
    sumIf(usd, unknown = 0) / nullIf(countIf(unknown = 0), 0) AS usd_an_event,
    sum(unknown) AS unpriced
FROM
(
    SELECT
        event_id,
        content_digest,
        sum(would_be) AS usd,
        sumIf(would_be, tier = 'worker') AS worker,
        sumIf(would_be, tier = 'reasoner') AS reasoner,
        countIf(tier = 'reasoner') AS asked,
        countIf(would_be IS NULL) AS unknown
    FROM calls
    WHERE run = {run:String} AND tier != 'judge'
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY event_id, content_digest
) AS spent
LEFT ANY JOIN
(
    SELECT event_id, content_digest, intents
    FROM verdicts
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
) AS seen ON seen.event_id = spent.event_id AND seen.content_digest = spent.content_digest
GROUP BY intent
ORDER BY would_be_usd DESC NULLS LAST, intent
