-- Each event at the listeners. Events with the same content share `task`; where redaction or erasure hid the content, the
-- fingerprint of the routed task serves, else the event counts by itself.
WITH heard AS
(
    SELECT
        event_id, event_time, findings, action, duplicate_of, image,
        if(empty(intents), 'unsure', intents[1]) AS intent,
        multiIf(
            (text != '' OR coalesce(data, '') != '' OR image IS NOT NULL)
                AND NOT (redaction IS NOT NULL AND match(concat(text, coalesce(data, '')), '\\[[a-z][a-z0-9_ -]*\\]')),
            hex(sipHash128(text, coalesce(data, ''), coalesce(image, ''))),
            fingerprint != '', fingerprint,
            event_id
        ) AS task
    FROM verdicts
    WHERE run = {run:String}
        AND event_time >= {since:DateTime64(6, 'UTC')} AND event_time < {until:DateTime64(6, 'UTC')}
    ORDER BY event_time
    LIMIT 1 BY event_id, content_digest
)
