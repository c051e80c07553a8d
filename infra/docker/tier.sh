#!/bin/sh
# Run a tier: tier.sh worker listen. Docker would restart a tier that has reached its limit on dead letters (exit code 3),
# and each restart without a fix turns more messages into dead letters. So this container stays up without its tier, and
# is unhealthy, until it is restarted by hand. The file is for the liveness probe of Kubernetes.
at_limit="${TMPDIR:-/tmp}/at-dead-letter-limit"
rm -f "$at_limit"
child=
stopped=
stop() {
    stopped=yes
    [ -z "$child" ] || end
}
# A child that has only just been forked still has this shell's handler, and would lose the signal.
end() {
    sleep 0.2
    kill -TERM "$child" 2>/dev/null
}
# A signal may come before the child's number is known, or end a wait before the child has ended.
follow() {
    child=$!
    [ -z "$stopped" ] || end
    while wait "$child"; code=$?; kill -0 "$child" 2>/dev/null; do :; done
}
trap stop TERM
escalon "$@" &
follow
[ "$code" -eq 3 ] || exit "$code"
: >"$at_limit"
echo "This container stays up without its tier, so that nothing restarts it. After the fix: docker compose restart $2," \
    "or kubectl delete pod -l app.kubernetes.io/component=$2" >&2
sleep infinity &
follow
exit "$code"
