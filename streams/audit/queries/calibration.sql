-- Accuracy and agreement of a worker's answers by confidence, in bins.
-- Each answer counts; `tasks` is the number of different ones, which shows the amount of evidence.
-- `accuracy` is measured by labels, `agreement` by the reasoner's answer to the same event. Answers are compared as JSON,
-- key by key; `escalon calibrate` compares by the worker's own rule.
-- Erased and expired answers and labels do not count, nor do those with a redacted part, which is recognised by a
-- lower-case name in brackets such as [phone].
-- bins = 10: number of bins between 0 and 1
WITH
    value -> if(value LIKE '{%', toString(arraySort(JSONExtractKeysAndValuesRaw(value))), value) AS plain,
    truth -> plain(if(isValidJSON(truth), truth, toJSONString(truth))) AS named,
    reply -> if(JSONHas(reply, 'answer'), plain(JSONExtractRaw(reply, 'answer')), named(reply)) AS answered,
    value -> match(replaceRegexpAll(value, '\\[(true|false|null)\\]', ''), '\\[[a-z][a-z0-9_ -]{1,63}\\]') AS hides,
    told AS
    (
        SELECT event_id, sipHash64(named(argMax(label, (run = {run:String}, labelled_at)))) AS truth
        FROM labels
        WHERE run IN ({run:String}, 'live') AND aspect = 'answer' AND label != '' AND NOT hides(label)
        GROUP BY event_id
    ),
    asked AS
    (
        SELECT
            event_id,
            groupArrayIf(
                (calls.handler, assumeNotNull(confidence), if(hides(coalesce(response, '')), NULL,
                    sipHash64(answered(coalesce(response, '')))), if(calls.fingerprint = '', event_id, calls.fingerprint)),
                tier = 'worker' AND confidence IS NOT NULL AND decision IN ('accepted', 'escalated', 'failed')
            ) AS attempts,
            argMaxOrNullIf(
                sipHash64(answered(coalesce(response, ''))),
                started_at,
                tier = 'reasoner' AND decision IN ('accepted', 'explored') AND NOT hides(coalesce(response, ''))
            ) AS thought
        FROM calls
        WHERE run = {run:String} AND tier IN ('worker', 'reasoner') AND status = 'answered' AND response IS NOT NULL
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        GROUP BY event_id, content_digest
    ),
    worked AS
    (
        SELECT event_id, attempt.1 AS handler, attempt.2 AS confidence, attempt.3 AS said, attempt.4 AS task, thought
        FROM asked
        ARRAY JOIN attempts AS attempt
    )
SELECT
    worked.handler AS handler,
    least(floor(worked.confidence * {bins:UInt8}), {bins:UInt8} - 1) / {bins:UInt8} AS bin,
    count() AS answers,
    uniqExact(worked.task) AS tasks,
    avg(worked.confidence) AS mean_confidence,
    countIf(told.truth IS NOT NULL AND worked.said IS NOT NULL) AS labelled,
    countIf(told.truth = worked.said) AS right,
    right / nullIf(labelled, 0) AS accuracy,
    countIf(worked.thought IS NOT NULL AND worked.said IS NOT NULL) AS compared,
    countIf(worked.thought = worked.said) AS agreed,
    agreed / nullIf(compared, 0) AS agreement
FROM worked
LEFT ANY JOIN told ON told.event_id = worked.event_id
GROUP BY handler, bin
ORDER BY handler, bin
SETTINGS join_use_nulls = 1
