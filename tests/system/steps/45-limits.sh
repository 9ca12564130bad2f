# shellcheck shell=bash
step "Memory runs out in the agents' slice: it is an agent's process that is ended"
# A kernel that shares its controllers with an older hierarchy of the machine has none to give to the container.
same "what the slice may take" "60% 70%" "$(in_shell 'systemctl cat orch-agents.slice |
    sed -n "s/^Memory\(High\|Max\)=//p" | paste -sd " "')"
check "an administrator gives it 256 MiB" inside systemctl set-property --runtime orch-agents.slice \
    MemoryHigh=infinity MemoryMax=256M
if in_shell 'grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null || test -d /sys/fs/cgroup/memory/orch.slice'; then
    before=$(main_pid orch-worker@1.service)
    inside touch "$played/eat-SYS-001"
    await 60 "a program of the agent takes 400" in_shell "test -s $played/ate-SYS-001"
    same "the kernel ended it" 137 "$(in_shell "cat $played/ate-SYS-001")"
    same "the worker never noticed" "$before" "$(main_pid orch-worker@1.service)"
    same "the same agent goes on" "$first_agent" "$(agent)"
else
    note "SKIPPED: this machine gives the container no memory controller"
fi
check "the limits are the package's again" inside systemctl revert orch-agents.slice
same "nothing is left of the change" "" "$(inside systemctl show -P DropInPaths orch-agents.slice)"
