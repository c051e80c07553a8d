-- Ways of events through the tiers: verdict, worker, reason to escalate, reasoner and outcome, with their events.
-- `action` is empty for events whose verdict is not in the audit, `state` for those that have not ended. A worker's answer that
-- was accepted has no `reason`; `routed` events went straight to the reasoner. Explored calls of reasoners are left out.
SELECT action, worker, reason, reasoner, state, count() AS events
FROM
(
    SELECT
        event_id,
        max(part.action) AS action,
        max(part.worker) AS worker,
        if(action = 'reason', 'routed', max(part.reason)) AS reason,
        max(part.reasoner) AS reasoner,
        max(part.state) AS state
    FROM
    (
        SELECT
            event_id, action, if(action = 'work', handler, '') AS worker, '' AS reason,
            if(action = 'reason', handler, '') AS reasoner, '' AS state
        FROM verdicts
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
        UNION ALL
        SELECT
            event_id, '' AS action, '' AS worker,
            if(tier = 'worker', splitByChar(':', decision_reason)[1], '') AS reason,
            if(tier = 'reasoner', handler, '') AS reasoner, '' AS state
        FROM calls
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
            AND ((tier = 'worker' AND decision = 'escalated') OR (tier = 'reasoner' AND decision != 'explored'))
        UNION ALL
        SELECT event_id, '' AS action, '' AS worker, '' AS reason, '' AS reasoner, state
        FROM outcomes
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ) AS part
    GROUP BY event_id
)
GROUP BY action, worker, reason, reasoner, state
ORDER BY events DESC, action, worker, reason, reasoner, state
