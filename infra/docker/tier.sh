#!/bin/sh
# Run a tier: tier.sh worker listen. Docker would restart a tier that has reached its limit on dead letters (exit code 3),
# and each restart without a fix turns more messages into dead letters. So this container stays up without its tier, and
# is unhealthy, until it is restarted by hand.
escalon "$@" &
child=$!
trap 'kill -TERM "$child"; wait "$child"; exit $?' TERM
wait "$child"
code=$?
[ "$code" -eq 3 ] || exit "$code"
echo "This container stays up without its tier, so that Docker does not restart it. After the fix: docker compose restart $2" >&2
sleep infinity &
child=$!
wait "$child"
