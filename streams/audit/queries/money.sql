-- Cost and savings of a run, and an estimate of the cost at the reasoner of every event that asked a model.
-- Both sides have the same store, duplicates and ignored events: an event that was answered from the store, or without a call,
-- costs nothing at the reasoner either. The cost of listeners is charged to tiering alone; the cost of exploration is left out.
-- An event at the reasoner counts at the mean of the events with a reply there. Events with a call of unknown cost are left out of
-- both sides (`left_out`), and money is null where nothing is known. `low` and `high` are a 95 % interval by Student's
-- distribution of that mean; there is none for fewer than five events at the reasoner.
-- `would_be_usd` is the cost that live traffic would have had: a replay pays nothing for reused answers.
-- Calls of judges, which rate a panel's cases, count in `judge_calls` and `judge_usd` alone.
WITH
    if(reused_from IS NULL, cost_usd, cost_usd + saved_usd) AS would_be,
    (NOT cache_hit OR reused_from IS NOT NULL)
        AND NOT (status = 'failed' AND coalesce(error_type, '') IN ('circuit_open', 'deadline')) AS happened,
    -- Student's 97.5 % quantile, by the expansion of Cornish and Fisher (1960); good to 1 % from four degrees of freedom on.
    freedom -> 1.95996 + 2.37227 / freedom + 2.82250 / pow(freedom, 2) + 2.55585 / pow(freedom, 3) AS student,
    each AS
    (
        SELECT *
        FROM event_costs(
            run = {run:String}, since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')}
        )
    ),
    compared AS
    (
        SELECT
            countIf(asked AND NOT unpriced) AS asking_events,
            countIf(asked AND unpriced) AS left_out,
            sumIf(usd, NOT unpriced) AS tiered_usd,
            countIf(reasoned) AS reasoned_events,
            sumIf(reasoner_usd, reasoned) / nullIf(reasoned_events, 0) AS reasoner_call_usd,
            if(reasoned_events < 5, NULL, student(reasoned_events - 1)
                * stddevSampIf(toFloat64(reasoner_usd), reasoned) / sqrt(reasoned_events)) AS half,
            asking_events * half AS reach
        FROM each
    ),
    totals AS
    (
        SELECT
            sumIf(cost_usd, tier != 'judge') AS spent_usd,
            sumIf(would_be, tier != 'judge') AS would_be_usd,
            sumIf(saved_usd, tier != 'judge' AND reused_from IS NULL) AS saved_by_cache_usd,
            countIf(tier != 'judge' AND happened) AS calls_made,
            countIf(tier != 'judge' AND happened AND would_be IS NULL) AS calls_without_price,
            countIf(tier = 'judge' AND happened) AS judge_calls,
            sumIf(cost_usd, tier = 'judge') AS judge_usd
        FROM calls
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    )
SELECT
    (
        SELECT count() FROM outcomes
        WHERE run = {run:String}
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ) AS events,
    spent_usd,
    would_be_usd,
    saved_by_cache_usd,
    calls_made,
    calls_without_price,
    judge_calls,
    judge_usd,
    reasoner_call_usd,
    reasoned_events,
    asking_events,
    left_out,
    tiered_usd,
    reasoner_call_usd * asking_events AS all_reasoner_usd,
    all_reasoner_usd - tiered_usd AS net_saved_usd,
    toFloat64(net_saved_usd) - reach AS net_saved_low,
    toFloat64(net_saved_usd) + reach AS net_saved_high,
    toFloat64(all_reasoner_usd) / nullIf(toFloat64(tiered_usd), 0) AS times_cheaper,
    -- greatest() ignores a NULL, so without an interval it would return the 0.
    if(reach IS NULL, NULL, greatest(0, toFloat64(all_reasoner_usd) - reach)) / nullIf(toFloat64(tiered_usd), 0)
        AS times_cheaper_low,
    (toFloat64(all_reasoner_usd) + reach) / nullIf(toFloat64(tiered_usd), 0) AS times_cheaper_high
FROM compared, totals
