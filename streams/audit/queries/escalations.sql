-- Reasons why events reached a reasoner: the reason, the worker that escalated, and the class of its refusal.
SELECT reason, handler, refusal_class, count() AS events
FROM
(
    SELECT
        splitByChar(':', decision_reason)[1] AS reason,
        handler,
        if(refused, refusal_class, NULL) AS refusal_class
    FROM calls
    WHERE run = {run:String} AND tier = 'worker' AND decision = 'escalated'
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    UNION ALL
    SELECT 'routed' AS reason, '' AS handler, NULL AS refusal_class
    FROM
    (
        SELECT DISTINCT event_id
        FROM verdicts
        WHERE run = {run:String} AND action = 'reason'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    )
)
GROUP BY reason, handler, refusal_class
ORDER BY events DESC, reason, handler
