-- A worker at other thresholds: the share of answers it would accept, their cost, and their known error.
-- Only decisions by the threshold change: refused, invalid and failed attempts stay. `error` is the share of wrong answers among
-- the accepted ones with a label, compared as JSON; pairs with a redacted part (a lower-case name in brackets) do not count. An
-- escalation costs the mean of a reasoner's reply; for an attempt from the store, the reasoner's answer would come from its
-- store, for nothing. `escalon what-if` gives intervals of such figures.
-- Erased and expired answers and labels do not count.
WITH
    value -> if(value LIKE '{%', toString(arraySort(JSONExtractKeysAndValuesRaw(value))), value) AS plain,
    truth -> plain(if(isValidJSON(truth), truth, toJSONString(truth))) AS named,
    reply -> if(JSONHas(reply, 'answer'), plain(JSONExtractRaw(reply, 'answer')), named(reply)) AS answered,
    value -> match(replaceRegexpAll(value, '\\[(true|false|null)\\]', ''), '\\[[a-z][a-z0-9_ -]{1,63}\\]') AS hides,
    if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be,
    (NOT cache_hit OR reused_from IS NOT NULL)
        AND NOT (status = 'failed' AND coalesce(error_type, '') IN ('circuit_open', 'deadline')) AS happened,
    (
        SELECT sum(would_be) / nullIf(countIf(happened AND status != 'failed' AND would_be IS NOT NULL), 0)
        FROM calls
        WHERE run = {run:String} AND tier = 'reasoner'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ) AS reasoner_call,
    told AS
    (
        SELECT event_id, named(argMax(label, (run = {run:String}, labelled_at))) AS truth
        FROM labels
        WHERE run IN ({run:String}, 'live') AND aspect = 'answer' AND label != '' AND NOT hides(label)
        GROUP BY event_id
    ),
    worked AS
    (
        SELECT
            event_id,
            handler,
            if(status = 'answered', coalesce(confidence, -1), -1) AS sureness,
            threshold,
            happened,
            if(
                status = 'answered' AND response IS NOT NULL AND NOT hides(coalesce(response, '')) AND event_id IN (SELECT event_id FROM told),
                answered(coalesce(response, '')),
                NULL
            ) AS said
        FROM calls
        WHERE run = {run:String} AND tier = 'worker' AND decision IN ('accepted', 'escalated', 'failed')
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ),
    spent AS
    (
        SELECT handler, sum(would_be) AS usd
        FROM calls
        WHERE run = {run:String} AND tier = 'worker'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        GROUP BY handler
    )
SELECT
    tried.handler AS handler,
    bar,
    sum(attempts) AS events,
    sumIf(attempts, sureness >= bar) AS accepted,
    accepted / events AS accepted_share,
    1 - accepted_share AS escalated_share,
    any(spent.usd) + reasoner_call * sumIf(asked, sureness < bar) AS usd,
    sumIf(labelled, sureness >= bar) AS labelled,
    sumIf(wrong, sureness >= bar) AS wrong,
    wrong / nullIf(labelled, 0) AS error
FROM
(
    SELECT
        worked.handler AS handler,
        worked.sureness AS sureness,
        count() AS attempts,
        countIf(worked.happened) AS asked,
        countIf(told.truth IS NOT NULL AND worked.said IS NOT NULL) AS labelled,
        countIf(told.truth != worked.said) AS wrong
    FROM worked
    LEFT ANY JOIN told ON told.event_id = worked.event_id
    GROUP BY handler, sureness
    SETTINGS join_use_nulls = 1
) AS tried
CROSS JOIN (SELECT arrayJoin([0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99]) AS bar) AS bars
LEFT JOIN spent ON spent.handler = tried.handler
GROUP BY handler, bar
HAVING max(sureness) >= 0
ORDER BY handler, bar
SETTINGS join_use_nulls = 1
