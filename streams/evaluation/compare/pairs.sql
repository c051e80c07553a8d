-- The events of one bucket with an outcome in both runs: the end of each in both, its cost and time, and its labels.
-- Buckets bound the memory. The cost of a call if live is its cost or, if a replay reused a stored answer, that
-- answer's original cost; one unknown cost makes the event's unknown. Exploration counts in the cost, but not in the
-- time until the outcome.
WITH
    spent AS
    (
        SELECT
            run,
            event_id,
            content_digest,
            if(countIf(would_cost IS NULL) > 0, NULL, sum(would_cost)) AS usd,
            if(countIf(on_the_way AND took IS NULL) > 0, NULL, sumIf(took, on_the_way)) AS seconds,
            anyIf(why, decision = 'escalated') AS escalated_for,
            arraySort(groupArrayIf(coalesce(class, 'other'), refusing)) AS refusals
        FROM
        (
            SELECT
                call.run AS run,
                call.event_id AS event_id,
                call.content_digest AS content_digest,
                call.decision AS decision,
                call.cost_usd + if(call.reused_from IS NULL, toDecimal128(0, 12), call.saved_usd) AS would_cost,
                call.decision != 'explored' AS on_the_way,
                call.duration_seconds AS took,
                splitByChar(':', call.decision_reason)[1] AS why,
                call.refusal_class AS class,
                call.tier != 'listener' AND call.status = 'refused'
                    AND call.decision IN ('accepted', 'escalated', 'failed') AS refusing
            FROM calls AS call
            WHERE call.run IN ({a:String}, {b:String}) AND call.tier != 'judge'
                AND call.event_time >= {since:DateTime64(6, 'UTC')} AND call.event_time < {until:DateTime64(6, 'UTC')}
                AND cityHash64(call.event_id) % {buckets:UInt32} = {bucket:UInt32}
        )
        GROUP BY run, event_id, content_digest
    ),
    seen AS
    (
        SELECT
            verdict.run AS run,
            verdict.event_id AS event_id,
            verdict.content_digest AS content_digest,
            transform(verdict.action, ['work', 'reason'], ['worker', 'reasoner'], '') AS tier,
            verdict.handler AS handler,
            if(empty(verdict.text) AND empty(coalesce(verdict.data, '')) AND verdict.image IS NULL, '',
                hex(sipHash128(verdict.text, coalesce(verdict.data, ''), coalesce(verdict.image, '')))) AS task,
            substringUTF8(if(empty(verdict.text), coalesce(verdict.data, ''), verdict.text), 1, 600) AS text
        FROM verdicts AS verdict
        WHERE verdict.run IN ({a:String}, {b:String})
            AND verdict.event_time >= {since:DateTime64(6, 'UTC')}
            AND verdict.event_time < {until:DateTime64(6, 'UTC')}
            AND cityHash64(verdict.event_id) % {buckets:UInt32} = {bucket:UInt32}
    ),
    truth AS
    (
        SELECT
            label.event_id AS event_id,
            argMaxIf(
                toNullable(label.label),
                (label.labelled_at, label.source, label.run),
                label.aspect = 'answer' AND label.label != ''
            )
                AS answer,
            argMaxIf(toNullable(label.label), (label.labelled_at, label.source, label.run), label.aspect = 'intent')
                AS intent
        FROM labels AS label
        WHERE label.run IN ({base:String}, {a:String}, {b:String})
            AND cityHash64(label.event_id) % {buckets:UInt32} = {bucket:UInt32}
        GROUP BY label.event_id
    ),
    ends AS
    (
        SELECT
            outcome.run AS run,
            outcome.event_id AS event_id,
            seen.text AS text,
            seen.task AS task,
            tuple(
                outcome.state,
                outcome.tier,
                outcome.handler,
                outcome.intent,
                outcome.answer,
                outcome.reasons,
                coalesce(seen.tier, ''),
                coalesce(seen.handler, ''),
                -- An event that no listener looked at has no call, and costs nothing.
                if(spent.run IS NULL AND outcome.call_id IS NULL, toDecimal128(0, 12), spent.usd),
                if(spent.run IS NULL AND outcome.call_id IS NULL, 0, spent.seconds),
                coalesce(spent.escalated_for, ''),
                spent.refusals
            ) AS how
        FROM outcomes AS outcome
        LEFT JOIN spent ON spent.run = outcome.run AND spent.event_id = outcome.event_id
            AND spent.content_digest = outcome.content_digest
        LEFT JOIN seen ON seen.run = outcome.run AND seen.event_id = outcome.event_id
            AND seen.content_digest = outcome.content_digest
        WHERE outcome.run IN ({a:String}, {b:String})
            AND outcome.event_time >= {since:DateTime64(6, 'UTC')}
            AND outcome.event_time < {until:DateTime64(6, 'UTC')}
            AND cityHash64(outcome.event_id) % {buckets:UInt32} = {bucket:UInt32}
    ),
    paired AS
    (
        SELECT
            ends.event_id AS event_id,
            anyIf(ends.how, ends.run = {a:String}) AS a,
            anyIf(ends.how, ends.run = {b:String}) AS b,
            any(ends.text) AS text,
            anyIf(ends.task, ends.task != '') AS task
        FROM ends
        GROUP BY ends.event_id
        HAVING uniqExact(ends.run) = 2
    )
SELECT paired.event_id AS event_id, paired.a AS a, paired.b AS b, paired.text AS text,
    truth.answer AS label, truth.intent AS intent_label, paired.task AS task
FROM paired
LEFT JOIN truth ON truth.event_id = paired.event_id
ORDER BY event_id
SETTINGS join_use_nulls = 1
