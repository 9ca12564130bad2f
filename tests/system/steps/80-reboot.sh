# shellcheck shell=bash
step "Reboot in the middle of a run"
same "an agent is at work" 1 "$(agent | wc -l)"
before=$(agent)
inside rm "$played/at-SYS-003"
reboot_inside
await 60 "the intake is back" is_ready
await 60 "both workers are back" in_shell 'systemctl -q is-active orch-worker@1.service orch-worker@2.service'
await 90 "the analyst was started again, by nobody's hand" is_at_work SYS-003
differ "it is another process" "$before" "$(agent)"
same "the broken run is known as lost" lost \
    "$(sql "SELECT r.state FROM runs r JOIN tasks t ON t.id = r.task_id WHERE t.key = 'SYS-003' ORDER BY r.started_at LIMIT 1")"
same "its job is the same, and spent no attempt" "1" \
    "$(sql "SELECT attempts FROM jobs j JOIN tasks t ON t.id = j.task_id WHERE t.key = 'SYS-003' AND j.kind = 'agent'")"
let_go SYS-003
await 90 "the analysis waits for a person" task_is SYS-003 waiting_approval
webhook approve 3 > /dev/null
await 180 "the task is done" task_is SYS-003 done
