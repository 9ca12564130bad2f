# shellcheck shell=bash
step "kill -9 each service: systemd brings it back, the agent never notices"
for unit in orch-api.service orch-worker@1.service; do
    before=$(main_pid $unit); counted=$(restarts $unit)
    inside kill -KILL "$before"
    await 30 "$unit is back" is_another $unit "$before"
    same "$unit: counted once" $((counted + 1)) "$(restarts $unit)"
done
same "the same agent goes on" "$first_agent" "$(agent)"
same "it is still the first run" 1 "$(runs_of SYS-001 analyst)"

step "A worker that hangs is ended by the watchdog"
before=$(main_pid orch-worker@1.service)
inside kill -STOP "$before"
await 60 "systemd has replaced it" is_another orch-worker@1.service "$before"
same "the same agent goes on" "$first_agent" "$(agent)"
before=$(main_pid orch-worker@1.service)
sleep 20
same "one that works is left alone for two watchdog periods" "$before" "$(main_pid orch-worker@1.service)"

step "systemctl restart in the middle of a run"
check "it restarts" inside systemctl restart orch-worker@1.service
differ "another worker" "$before" "$(main_pid orch-worker@1.service)"
same "the same agent goes on" "$first_agent" "$(agent)"
before=$(main_pid orch-worker@1.service)
check "the target restarts all of them" inside systemctl restart orch-worker.target
await 30 "another worker" is_another orch-worker@1.service "$before"
same "the same agent goes on" "$first_agent" "$(agent)"
same "it is still the first run" 1 "$(runs_of SYS-001 analyst)"
