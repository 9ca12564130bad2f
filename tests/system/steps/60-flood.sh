# shellcheck shell=bash
step "200 webhooks a second while the intake restarts: none is lost"
received() { sql "SELECT count(*) FROM deliveries"; }
before=$(received)
inside /opt/webhooks.py flood 200 12 > "$scratch/flood" & flood=$!
for pause in 3 3 3; do
    sleep $pause
    pid=$(main_pid orch-api.service)
    inside systemctl restart orch-api.service
    differ "restarted under load" "$pid" "$(main_pid orch-api.service)"
done
wait "$flood"
. "$scratch/flood"
note "$sent sent in $took_ms ms; slowest answer $slowest_ms ms; $cut cut, $refused refused, $silent silent"
same "every one was answered 'queued' at the first try" "$sent" "$queued"
same "and is in the database" $((before + sent)) "$(received)"

step "The same with kill -9: what was cut is sent again, as Plane does"
before=$(received)
inside /opt/webhooks.py flood 200 8 --again > "$scratch/flood-kill" & flood=$!
for pause in 2 3; do
    sleep $pause
    pid=$(main_pid orch-api.service)
    inside kill -KILL "$pid"
    await 30 "systemd brings it back" is_another orch-api.service "$pid"
done
wait "$flood"
. "$scratch/flood-kill"
note "$sent sent in $took_ms ms; slowest $slowest_ms ms; $cut cut, $refused refused, $silent silent, $duplicate were duplicates"
same "none was refused: the socket is systemd's" 0 "$refused"
same "none was given up" 0 "$given_up"
same "each is in the database once" $((before + sent)) "$(received)"
await 180 "the worker has handled them" in_shell \
    "test \$(su -s /bin/sh orch -c \"sqlite3 -readonly /var/lib/orch/orchestrator.db \\\"SELECT count(*) FROM jobs WHERE kind='event' AND status IN ('queued','running')\\\"\") = 0"
