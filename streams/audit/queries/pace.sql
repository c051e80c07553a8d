-- Calls of each tier in 60 equal slices of the time, to plot rates. Slices without calls are left out.
-- `slice` counts from 0, and `seconds` is the length of one.
WITH
    greatest(1, dateDiff('microsecond', {since:DateTime64(6, 'UTC')}, {until:DateTime64(6, 'UTC')})) AS length
SELECT
    tier,
    toUInt8(least(59, intDiv(60 * dateDiff('microsecond', {since:DateTime64(6, 'UTC')}, event_time), length))) AS slice,
    count() AS calls,
    any(length) / 60000000 AS seconds
FROM calls
WHERE run = {run:String} AND tier != 'judge'
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY tier, slice
ORDER BY indexOf(['listener', 'worker', 'reasoner'], tier), slice
