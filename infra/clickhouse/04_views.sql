-- The views that analysts read: each table without the rows that were replaced. A view keeps the columns that its table had
-- when the view was made, so a later file that adds a column must replace the view, too.

CREATE OR REPLACE VIEW calls $on_cluster AS SELECT *, model, refused FROM calls_rows FINAL;

CREATE OR REPLACE VIEW outcomes $on_cluster AS SELECT * FROM outcomes_rows FINAL;

CREATE OR REPLACE VIEW verdicts $on_cluster AS SELECT * FROM verdicts_rows FINAL;

CREATE OR REPLACE VIEW dead_letters $on_cluster AS SELECT * FROM dead_letters_rows FINAL;

CREATE OR REPLACE VIEW labels $on_cluster AS SELECT * FROM labels_rows FINAL;

CREATE OR REPLACE VIEW judgements $on_cluster AS SELECT * FROM judgements_rows FINAL;

-- Each panel as it is now. Its earlier states stay in panels_rows.
CREATE OR REPLACE VIEW panels $on_cluster AS SELECT * FROM panels_rows FINAL ORDER BY updated_at DESC LIMIT 1 BY panel;

CREATE OR REPLACE VIEW panel_cases $on_cluster AS SELECT * FROM panel_cases_rows FINAL;

-- What each judge said last about each question of each case.
CREATE OR REPLACE VIEW panel_judgements $on_cluster AS
SELECT * FROM judgements_rows FINAL
WHERE panel != ''
ORDER BY judged_at DESC
LIMIT 1 BY panel, case_id, judge, kind = 'adjudication', question, `option`;

CREATE OR REPLACE VIEW runs $on_cluster AS SELECT * FROM runs_rows FINAL;

CREATE OR REPLACE VIEW erased_events $on_cluster AS SELECT * FROM erased_events_rows FINAL;

CREATE OR REPLACE VIEW erasures $on_cluster AS SELECT * FROM erasures_rows FINAL;

CREATE OR REPLACE VIEW dead_letter_actions $on_cluster AS SELECT * FROM dead_letter_actions_rows FINAL;

-- The cost of each event of a run, for comparing tiering with the reasoner alone. `asked`: a worker or reasoner replied, not
-- counting exploration, so a call that was stopped before it was made, or rejected by the provider, does not count. `usd` leaves
-- exploration out, `all_usd` does not. `reasoned`: the reasoner replied, and the price of all its calls is known. Answers that a
-- replay reused count at their original cost. A judge rates the event's answer later, so its calls cost the event nothing.
CREATE OR REPLACE VIEW event_costs $on_cluster AS
WITH
    if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be,
    (NOT cache_hit OR reused_from IS NOT NULL)
        AND NOT (status = 'failed' AND coalesce(error_type, '') IN ('circuit_open', 'deadline')) AS happened,
    happened AND status != 'failed' AS replied
SELECT
    event_id,
    content_digest,
    min(event_time) AS at,
    countIf(happened AND would_be IS NULL) > 0 AS unpriced,
    countIf(replied AND tier != 'listener' AND decision != 'explored') > 0 AS asked,
    sumIf(would_be, decision != 'explored') AS usd,
    sum(would_be) AS all_usd,
    sumIf(would_be, tier = 'reasoner' AND happened) AS reasoner_usd,
    countIf(tier = 'reasoner' AND replied) > 0
        AND countIf(tier = 'reasoner' AND happened AND would_be IS NULL) = 0 AS reasoned
FROM calls
WHERE run = {run:String} AND tier != 'judge'
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY event_id, content_digest;

CREATE OR REPLACE VIEW calls_hourly $on_cluster AS SELECT
    summed.run AS run,
    summed.hour AS hour,
    summed.tier AS tier,
    summed.handler AS handler,
    summed.model AS model,
    sum(summed.calls) AS calls,
    sum(summed.cache_hits) AS cache_hits,
    sum(summed.reused) AS reused,
    sum(summed.refused) AS refused,
    sum(summed.invalid) AS invalid,
    sum(summed.failed) AS failed,
    sum(summed.escalated) AS escalated,
    sum(summed.input_tokens) AS input_tokens,
    sum(summed.output_tokens) AS output_tokens,
    sum(summed.cost_usd) AS cost_usd,
    sum(summed.unpriced) AS unpriced,
    sum(summed.saved_usd) AS saved_usd,
    sum(summed.reused_usd) AS reused_usd,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.5)(summed.queues)]) AS queue_p50,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.95)(summed.queues)]) AS queue_p95,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.99)(summed.queues)]) AS queue_p99,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.5)(summed.durations)]) AS call_p50,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.95)(summed.durations)]) AS call_p95,
    arrayFirstOrNull(seconds -> isFinite(seconds), [quantileTDigestMerge(0.99)(summed.durations)]) AS call_p99
FROM calls_hourly_rows AS summed
GROUP BY run, hour, tier, handler, model;
