-- Events that ended as duplicates, and an estimate of their cost without that.
-- A duplicate counts at the mean cost of the events that asked a model, without exploration; null where none is known.
WITH
    each AS
    (
        SELECT *
        FROM event_costs(
            run = {run:String}, since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')}
        )
    ),
    ended AS
    (
        SELECT count() AS duplicates
        FROM outcomes
        WHERE run = {run:String} AND state = 'duplicate'
            AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ),
    asking AS
    (
        SELECT sumIf(usd, asked AND NOT unpriced) / nullIf(countIf(asked AND NOT unpriced), 0) AS event_usd FROM each
    )
SELECT duplicates, event_usd, event_usd * duplicates AS saved_usd
FROM ended, asking
WHERE duplicates > 0
