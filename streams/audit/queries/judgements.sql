-- Verdicts of judges on the answers, by question and verdict. Of several verdicts of one judge the newest counts.
SELECT question, verdict, count() AS answers, uniqExact(judge) AS judges
FROM
(
    SELECT question, judge, argMax(judgements.verdict, judged_at) AS verdict
    FROM judgements
    WHERE run = {run:String}
        AND judged_at >= {since:DateTime64(6, 'UTC')} AND judged_at < {until:DateTime64(6, 'UTC')}
    GROUP BY event_id, call_id, judge, question
)
GROUP BY question, verdict
ORDER BY question, answers DESC, verdict
