-- Answers of each worker by raw confidence, which no calibration changes, in bins, and how many of them were accepted.
-- bins = 20: number of bins between 0 and 1
SELECT
    handler,
    least(floor(assumeNotNull(raw_confidence) * {bins:UInt8}), {bins:UInt8} - 1) / {bins:UInt8} AS bin,
    count() AS answers,
    countIf(decision = 'accepted') AS accepted
FROM calls
WHERE run = {run:String} AND tier = 'worker' AND status = 'answered' AND raw_confidence IS NOT NULL
    AND decision IN ('accepted', 'escalated', 'failed')
    AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
GROUP BY handler, bin
ORDER BY handler, bin
