# The world around Orch in a container: a forge (a bare repository), a scripted agent, a person in Plane.
# shellcheck shell=bash

config=/etc/orch/orch.toml
played=/var/lib/orch-agent/scripted

# Writes a file of the container from standard input: put PATH MODE OWNER
put() {
    inside mkdir -p "$(dirname "$1")"
    inside /bin/sh -c 'cat > "$1" && chmod "$2" "$1" && chown "$3" "$1"' sh "$1" "$2" "$3"
}

# Everything an administrator and a team would have set up.
set_up_world() {
    put /opt/scripted/agent 755 root:root <<'AGENT'
#!/bin/sh
exec "$(command -v orchctl)" scripted-agent --script /var/lib/orch-agent/scripted/script.json -- "$@"
AGENT
    put "$played/script.json" 644 orch-agent:orch-agent < "$here/script.json"
    put /opt/scripted/look-around 755 root:root < "$here/look-around"
    put /opt/scripted/eat 755 root:root <<'EAT'
#!/usr/bin/python3
import sys
eaten = bytearray(int(sys.argv[1]) << 20)
EAT
    inside install -d -o orch-agent -g orch-agent -m 755 "$played"
    put /opt/webhooks.py 755 root:root < "$here/webhooks.py"
    in_shell 'test -d /srv/forge/greeter.git && exit 0
        mkdir -p /srv/forge/seed && cd /srv/forge/seed && git init -q -b main && echo greet > README.md && git add . &&
        git -c user.name=Ada -c user.email=ada@example.invalid commit -q -m "A greeter" &&
        git clone -q --bare . ../greeter.git && cd .. && rm -rf seed && chown -R orch:orch /srv/forge'
    put /etc/credstore/orch.plane_webhook_secret 600 root:root <<'SECRET'
a-secret-of-the-system-test
SECRET
    put "$config" 640 root:orch < "$here/orch.toml"
    # The forge is a folder here, and a short watch makes a hanging worker known soon.
    put /etc/systemd/system/orch-worker@.service.d/test.conf 644 root:root <<'DROPIN'
[Service]
ReadWritePaths=/srv/forge
WatchdogSec=9
DROPIN
    inside systemctl daemon-reload
}

# Liveness is not readiness: the intake looks for its database now and then.
is_ready() {
    inside python3 -c 'import json, sys, urllib.request
health = json.load(urllib.request.urlopen("http://127.0.0.1:8500/health"))
sys.exit(not health["readiness"]["ready"])'
}
webhook() { inside /opt/webhooks.py "$@"; }
orchctl() { as_orch orchctl --config "$config" "$@"; }
sql() { as_orch sqlite3 -readonly -cmd '.timeout 5000' /var/lib/orch/orchestrator.db "$1"; }

# Lets the analyst of a task go on.
let_go() { inside touch "$played/go-$1"; }

is_at_work() { in_shell "test -e $played/at-$1"; }
task_is() { [ "$(sql "SELECT state FROM tasks WHERE key = '$1'")" = "$2" ]; }
runs_of() { sql "SELECT count(*) FROM runs r JOIN tasks t ON t.id = r.task_id WHERE t.key = '$1' AND r.role = '$2'"; }

# The agent at work as pid:start, which is the same as long as it is the same process.
agent() {
    in_shell 'for p in $(pgrep -u orch-agent -f "^/usr/[a-z/]*bin/orchctl scripted-agent"); do
        echo "$p:$(cut -d" " -f22 /proc/$p/stat)"; done'
}

main_pid() { inside systemctl show -P MainPID "$1"; }
restarts() { inside systemctl show -P NRestarts "$1"; }
is_another() { [ "$(main_pid "$1")" != "$2" ] && [ "$(main_pid "$1")" != 0 ] && inside systemctl -q is-active "$1"; }
