-- Events by words in them, in their prompts or in their answers, and by their calls and ends; the newest first.
-- text = : words in the event, in a prompt or in an answer, in any case
-- tier = : the tier of a call, or of the outcome
-- handler = : the handler of a call, or of the outcome
-- model = : the model of a call
-- state = : the status or decision of a call, the action of a verdict, or the state of the outcome
-- cost_usd = 0: the least cost of a call in US dollars
-- seconds = 0: the least duration of a call
-- before = : of the events at `until` itself, those with an id under this one
-- limit = 50: number of events
WITH
    ({tier:String} = '' AND {handler:String} = '' AND {model:String} = '' AND {cost_usd:Float64} = 0
        AND {seconds:Float64} = 0) AS any_call,
    NOT any_call OR {state:String} != '' AS filtered,
    whole -> positionCaseInsensitiveUTF8(whole, {text:String}) AS place_in,
    whole -> substringUTF8(whole, greatest(toInt64(place_in(whole)) - 300, 1), 600 + lengthUTF8({text:String})) AS around
SELECT
    event_time,
    event_id,
    argMinIf(found.place, found.rank, says) AS said_in,
    argMinIf(found.text, found.rank, says) AS text,
    anyIf(found.state, part = 'outcome') AS ended_as,
    anyIf(found.handler, part = 'outcome') AS ended_by,
    sum(found.usd) AS cost_usd,
    sum(found.took) AS call_seconds,
    countIf(part = 'call') AS calls,
    arraySlice(arrayDistinct(arrayMap(one -> one.2, arrayReverseSort(groupArrayIf(
        (found.began, concat(found.tier, ' ', found.handler, ': ', found.state)),
        part = 'call' AND fits AND (found.tier != 'listener' OR filtered))))), 1, 3) AS fitting_calls
FROM
(
    SELECT
        'call' AS part, event_time, event_id, tier, handler, concat(status, ', ', decision) AS state,
        calls.cost_usd AS usd, if(cache_hit, 0, duration_seconds) AS took, started_at AS began,
        place_in(coalesce(response, '')) > 0 AS answers,
        {text:String} = '' OR answers OR place_in(prompt) > 0 AS says,
        if(answers, 4, 5) AS rank,
        concat(if(answers, 'answer', 'prompt'), ' of ', tier, ' ', handler) AS place,
        if({text:String} = '' OR NOT says, '', around(if(answers, coalesce(response, ''), prompt))) AS text,
        {tier:String} IN ('', tier) AND {handler:String} IN ('', handler) AND {model:String} IN ('', model)
            AND {state:String} IN ('', status, decision)
            AND ({cost_usd:Float64} = 0 OR calls.cost_usd >= {cost_usd:Float64})
            AND ({seconds:Float64} = 0 OR duration_seconds >= {seconds:Float64}) AS fits
    FROM calls
    WHERE run = {run:String} AND tier != 'judge'
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time <= {until:DateTime64(6, 'UTC')}
    UNION ALL
    SELECT
        'verdict', event_time, event_id, '', '', action, NULL, NULL, NULL,
        {text:String} = '' OR place_in(verdicts.text) > 0 AS in_text,
        in_text OR place_in(coalesce(data, '')) > 0 AS says,
        if(in_text, 1, 2),
        if(in_text, 'event', 'data of the event'),
        if(says, around(if(in_text, verdicts.text, coalesce(data, ''))), ''),
        any_call AND {state:String} IN ('', action)
    FROM verdicts
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time <= {until:DateTime64(6, 'UTC')}
    UNION ALL
    SELECT
        'outcome', event_time, event_id, tier, handler, state, NULL, NULL, NULL,
        place_in(coalesce(answer, '')) > 0 AS answers,
        {text:String} = '' OR answers AS says,
        3,
        'answer',
        if({text:String} = '' OR NOT says, '', around(coalesce(answer, ''))),
        {model:String} = '' AND {cost_usd:Float64} = 0 AND {seconds:Float64} = 0
            AND {tier:String} IN ('', tier) AND {handler:String} IN ('', handler) AND {state:String} IN ('', state)
    FROM outcomes
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time <= {until:DateTime64(6, 'UTC')}
) AS found
WHERE (event_time, event_id) < ({until:DateTime64(6, 'UTC')}, {before:String})
GROUP BY event_time, event_id
HAVING max(says) AND max(fits)
ORDER BY event_time DESC, event_id DESC
LIMIT {limit:UInt32}
