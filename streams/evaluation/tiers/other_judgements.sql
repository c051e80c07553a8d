-- Judgements that were published outside of panels, by question and verdict. Of several of one judge the latest counts.
SELECT question, judges, verdict, count() AS judgements
FROM
(
    SELECT
        said.question AS question,
        said.judge_kind AS judges,
        argMax(said.verdict, said.judged_at) AS verdict
    FROM judgements AS said
    WHERE said.run = {run:String} AND said.panel = '' AND said.event_id IN
    (
        SELECT verdicts.event_id
        FROM verdicts
        WHERE verdicts.run = {run:String}
            AND verdicts.event_time >= {since:DateTime64(6, 'UTC')} AND verdicts.event_time < {until:DateTime64(6, 'UTC')}
    )
    GROUP BY said.event_id, said.call_id, said.judge, said.question, said.judge_kind
)
GROUP BY question, judges, verdict
ORDER BY question, judges, judgements DESC, verdict
