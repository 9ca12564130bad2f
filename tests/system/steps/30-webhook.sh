# shellcheck shell=bash
step "A signed webhook makes an agent work"
same "an unsigned one is refused" 401 "$(webhook forge | cut -d' ' -f1)"
said=$(webhook create 1)
same "a signed one is queued" '200 {"status":"queued"' "${said%%,*}"
same "the same work item again changes nothing" 200 "$(webhook create 1 | cut -d' ' -f1)"
await 60 "the analyst is at work" is_at_work SYS-001
first_agent=$(agent)
check "one agent is at work: $first_agent" test -n "$first_agent"
check "the agent is in the worker's slice" in_shell "grep -q orch-workers.slice /proc/${first_agent%%:*}/cgroup"
same "the agent has none of the orchestrator's secrets" 0 \
    "$(in_shell "tr '\\0' '\\n' < /proc/${first_agent%%:*}/environ | grep -c -e ORCH_PLANE -e CREDENTIALS || true")"
