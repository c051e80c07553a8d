-- Verdicts of people and of models on the answers, by question and verdict. Of several verdicts of one judge the newest counts.
SELECT judge_kind, kind, question, verdict, count() AS answers, uniqExact(judge) AS judges
FROM
(
    SELECT judge_kind, kind, question, judge, argMax(judgements.verdict, judged_at) AS verdict
    FROM judgements
    WHERE run = {run:String} AND kind != 'skip'
        AND judged_at >= {since:DateTime64(6, 'UTC')} AND judged_at < {until:DateTime64(6, 'UTC')}
    GROUP BY event_id, call_id, panel, case_id, option, judge_kind, kind, judge, question
)
GROUP BY judge_kind, kind, question, verdict
ORDER BY judge_kind = 'model', kind, question, answers DESC, verdict
