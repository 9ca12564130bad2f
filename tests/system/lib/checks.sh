# What is checked, said line by line; the first thing that does not hold ends the test with what the services logged.
# shellcheck shell=bash

checks=0
begun=$SECONDS

step() { printf '\n== %s\n' "$*"; }
note() { printf '   .. %s\n' "$*"; }

ok() {
    checks=$((checks + 1))
    printf '   ok %s\n' "$*"
}

fail() {
    trap - ERR
    printf '   FAILED %s\n' "$*" >&2
    if [ -n "${leader:-}" ]; then
        inside systemctl --no-pager --failed >&2 || true
        inside journalctl --no-pager -o short -n "${ORCH_SYSTEM_LINES:-60}" >&2 || true
        as_orch orchctl --config /etc/orch/orch.toml status >&2 || true
    fi
    printf '%d passed, 1 failed\n' "$checks" >&2
    exit 1
}

# check WHAT COMMAND...: the command succeeds.
check() {
    local what=$1 said; shift
    if said=$("$@" 2>&1); then ok "$what"; else fail "$what: $* said: ${said:-nothing}"; fi
}

# refuse WHAT COMMAND...: the command fails.
refuse() {
    local what=$1 said; shift
    if said=$("$@" 2>&1); then fail "$what: $* succeeded: ${said:-nothing}"; else ok "$what"; fi
}

# same WHAT EXPECTED FOUND
same() { if [ "$2" = "$3" ]; then ok "$1: ${2:0:100}"; else fail "$1: expected '$2', found '$3'"; fi; }

# differ WHAT OLD NEW
differ() { if [ -n "$3" ] && [ "$2" != "$3" ]; then ok "$1: $2 -> $3"; else fail "$1: still '$3'"; fi; }

# await SECONDS WHAT COMMAND...: the command succeeds in this time.
await() {
    local limit=$1 what=$2 since=$SECONDS; shift 2
    until "$@" > /dev/null 2>&1; do
        [ $((SECONDS - since)) -lt "$limit" ] || fail "$what: not within $limit s ($*)"
        sleep 0.2
    done
    ok "$what ($((SECONDS - since)) s)"
}

finish() { printf '\n%d passed, 0 failed (%d s)\n' "$checks" $((SECONDS - begun)); }
