-- Quality of each worker's refusals by class, compared with the reasoner's results for the same events.
-- `needless` counts refusals that the reasoner answered from the same event, an upper bound of unnecessary refusals;
-- `rightful` those that the reasoner refused as well. `missed` counts the worker's answers to events that the reasoner refused.
WITH thought AS
(
    SELECT
        answer.event_id AS event_id,
        answer.content_digest AS content_digest,
        argMax(answer.status, answer.started_at) AS status,
        argMax(answer.refusal_class, answer.started_at) AS refusal_class
    FROM calls AS answer
    WHERE answer.run = {run:String} AND answer.tier = 'reasoner' AND answer.status IN ('answered', 'refused')
        AND answer.event_time >= {since:DateTime64(6, 'UTC')} AND answer.event_time < {until:DateTime64(6, 'UTC')}
    GROUP BY answer.event_id, answer.content_digest
)
SELECT
    worked.handler AS handler,
    coalesce(if(worked.status = 'refused', worked.refusal_class, thought.refusal_class), '') AS class,
    countIf(worked.status = 'refused') AS refused,
    countIf(worked.status = 'refused' AND thought.status = 'answered') AS needless,
    countIf(worked.status = 'refused' AND thought.status = 'refused') AS rightful,
    countIf(worked.status = 'answered' AND thought.status = 'refused') AS missed
FROM calls AS worked
LEFT JOIN thought ON thought.event_id = worked.event_id AND thought.content_digest = worked.content_digest
WHERE worked.run = {run:String} AND worked.tier = 'worker' AND worked.decision IN ('accepted', 'escalated', 'failed')
    AND (worked.status = 'refused' OR thought.status = 'refused')
    AND worked.event_time >= {since:DateTime64(6, 'UTC')} AND worked.event_time < {until:DateTime64(6, 'UTC')}
GROUP BY handler, class
ORDER BY handler, refused DESC, class
