# shellcheck shell=bash
step "A signed webhook makes an agent work"
same "an unsigned one is refused" 401 "$(webhook forge | cut -d' ' -f1)"
said=$(webhook create 1)
same "a signed one is queued" '200 {"status":"queued"' "${said%%,*}"
same "the same work item again changes nothing" 200 "$(webhook create 1 | cut -d' ' -f1)"
await 60 "the analyst is at work" is_at_work SYS-001
first_agent=$(agent)
check "one agent is at work: $first_agent" test -n "$first_agent"
same "it is the agents' user" orch-agent "$(inside ps -o user= -p "${first_agent%%:*}")"
check "it is in a unit of its own, in the agents' slice" \
    in_shell "grep -q '/orch-agents.slice/orch-agent@.*\\.service\$' /proc/${first_agent%%:*}/cgroup"
same "what supervises it is the services' user, in the same unit" "orch orch-agents.slice" "$(in_shell "
    p=\$(ps -o ppid= -p ${first_agent%%:*} | tr -d ' '); echo \$(ps -o user= -p \$p) \$(grep -o 'orch-agents.slice' /proc/\$p/cgroup | sort -u)")"
check "it has looked around" in_shell "grep -qx looked $played/saw-SYS-001"
same "it has found nothing that is not its own" "" "$(in_shell "grep LEAK $played/saw-SYS-001 || true")"
same "it is in no other group" "user orch-agent groups orch-agent" "$(in_shell "head -n 1 $played/saw-SYS-001")"
same "it has no right of the worker or of the supervisor" 4 "$(in_shell "grep -c '^Cap[A-Za-z]*: 0000000000000000' $played/saw-SYS-001")"
same "and cannot get one" 1 "$(in_shell "grep -c '^NoNewPrivs: 1' $played/saw-SYS-001")"
check "its log can be read by the operator" in_shell "cd /var/lib/orch && setpriv --reuid=orch --regid=orch --clear-groups \
    orchctl --config $config runs log \$(su -s /bin/sh orch -c 'sqlite3 -readonly /var/lib/orch/orchestrator.db \"SELECT id FROM runs\"') | grep -q 'I read the work item'"
same "the agent has none of the orchestrator's secrets" 0 \
    "$(in_shell "tr '\\0' '\\n' < /proc/${first_agent%%:*}/environ | grep -c -e ORCH_PLANE -e CREDENTIALS || true")"
