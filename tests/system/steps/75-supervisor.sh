# shellcheck shell=bash
step "kill -9 a supervisor: nothing of its run is left, and the run begins again"
webhook create 5 > /dev/null
await 60 "an analyst is at work" is_at_work SYS-005
run_of() { sql "SELECT r.dir FROM runs r JOIN tasks t ON t.id = r.task_id WHERE t.key = '$1' ORDER BY r.started_at DESC LIMIT 1"; }
supervisor=$(in_shell "sed 's/.*\"pid\":\([0-9]*\).*/\1/' /var/lib/orch/runs/$(run_of SYS-005)/supervisor.json")
unit=$(inside ps -o unit= -p "$supervisor")
inside rm "$played/at-SYS-005"
inside kill -KILL "$supervisor"
await 30 "its unit is gone with all that was in it" in_shell "test -z \"\$(systemctl list-units --all --no-legend '$unit')\""
await 60 "the analyst was started again" is_at_work SYS-005
same "the broken run is known as lost" lost \
    "$(sql "SELECT r.state FROM runs r JOIN tasks t ON t.id = r.task_id WHERE t.key = 'SYS-005' ORDER BY r.started_at LIMIT 1")"
let_go SYS-005
await 60 "and comes to its end" task_is SYS-005 waiting_approval
