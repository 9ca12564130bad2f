# shellcheck shell=bash
step "Upgrade to $next_version in the middle of a run, under webhooks"
before_api=$(main_pid orch-api.service) before_worker=$(main_pid orch-worker@1.service)
supervisor=$(inside pgrep -u orch -f 'orch-worker supervise')
unit=$(inside ps -o unit= -p "$supervisor")
inside /opt/webhooks.py flood 20 25 > "$scratch/upgrade-flood" & flood=$!
check "the package upgrades" inside dpkg -i /opt/packages/next.deb
same "its version" "$next_version" "$(inside dpkg-query -W -f '${Version}' orch)"
differ "the intake was restarted" "$before_api" "$(main_pid orch-api.service)"
differ "the worker was restarted" "$before_worker" "$(main_pid orch-worker@1.service)"
same "the worker is the new program" /usr/bin/orch-worker \
    "$(inside readlink "/proc/$(main_pid orch-worker@1.service)/exe")"
same "the run's supervisor is the old one, which no longer has a name" "/usr/bin/orch-worker (deleted)" \
    "$(inside readlink "/proc/$supervisor/exe")"
same "the same agent goes on" "$first_agent" "$(agent)"
same "in the same unit" "$unit" "$(inside ps -o unit= -p "$supervisor")"
check "the changed configuration was kept" in_shell "grep -q acme/greeter $config"
wait "$flood"
. "$scratch/upgrade-flood"
same "every webhook of the upgrade's time was queued" "$sent" "$queued"
note "slowest answer: $slowest_ms ms"

step "The task goes on to its end, with the new version"
let_go SYS-001
await 60 "the analysis waits for a person" task_is SYS-001 waiting_approval
same "one run was enough" 1 "$(runs_of SYS-001 analyst)"
same "the person approves" 200 "$(webhook approve 1 | cut -d' ' -f1)"
await 180 "the task is done" task_is SYS-001 done
await 30 "no unit of an agent is left" in_shell 'test -z "$(systemctl list-units --all --no-legend "orch-agent@*")"'
check "the branch is on the forge" in_shell \
    'su -s /bin/sh orch -c "git -C /srv/forge/greeter.git show feature/SYS-001-greet-people-part-1:greeting.txt" | grep -q SYS-001'
