-- Every row about one event, oldest first: its verdict, calls, outcome, dead letters, labels and judgements.
-- event_id = : the event; the newest one by default
WITH if({event_id:String} != '', {event_id:String},
    (SELECT argMax(event_id, event_time) FROM outcomes WHERE run = {run:String})) AS wanted
SELECT time, what, tier, name, state, detail, seconds, cost_usd, id
FROM
(
    SELECT
        decided_at AS time, 'verdict' AS what, 'listener' AS tier, handler AS name, action AS state,
        arrayStringConcat(intents, ', ') AS detail, NULL AS seconds, NULL AS cost_usd, '' AS id
    FROM verdicts
    WHERE run = {run:String} AND event_id = wanted
    UNION ALL
    SELECT
        started_at AS time, 'call' AS what, tier, handler AS name, concat(status, ', ', decision) AS state,
        decision_reason AS detail, duration_seconds AS seconds, calls.cost_usd AS cost_usd, toString(call_id) AS id
    FROM calls
    WHERE run = {run:String} AND event_id = wanted
    UNION ALL
    SELECT
        settled_at AS time, 'outcome' AS what, tier, handler AS name, state,
        coalesce(answer, arrayStringConcat(reasons, '; ')) AS detail, NULL AS seconds, NULL AS cost_usd,
        coalesce(call_id, '') AS id
    FROM outcomes
    WHERE run = {run:String} AND event_id = wanted
    UNION ALL
    SELECT
        event_time AS time, 'dead letter' AS what, '' AS tier, topic AS name, reason AS state, detail,
        NULL AS seconds, NULL AS cost_usd, toString(dead_letter_id) AS id
    FROM dead_letters
    WHERE run = {run:String} AND event_id = wanted
    UNION ALL
    SELECT
        labelled_at AS time, 'label' AS what, '' AS tier, source AS name, aspect AS state, label AS detail,
        NULL AS seconds, NULL AS cost_usd, '' AS id
    FROM labels
    WHERE run IN ({run:String}, 'live') AND event_id = wanted
    UNION ALL
    SELECT
        judged_at AS time, 'judgement' AS what, '' AS tier, judge AS name, judgements.verdict AS state,
        concat(question, if(comment = '', '', concat(': ', comment))) AS detail,
        NULL AS seconds, NULL AS cost_usd, call_id AS id
    FROM judgements
    WHERE run IN ({run:String}, 'live') AND event_id = wanted
)
ORDER BY time, what, id
