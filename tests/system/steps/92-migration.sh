# shellcheck shell=bash
step "A database of an older schema is brought up to date, by the package and by a worker"
newest=$(basename "$(printf '%s\n' "$repository"/migrations/*/ | sort | tail -n 1)")
newest_version=$(echo "${newest%%_*}" | tr -d -)
applied() { sql "SELECT group_concat(version) FROM __diesel_schema_migrations" 2>/dev/null; }
# What the newest migration did is undone, as if its version had never been installed.
make_older() {
    inside systemctl stop orch-api.socket orch-api.service orch-worker.target
    inside /bin/sh -c 'cat > /opt/packages/down.sql' < "$repository/migrations/$newest/down.sql"
    check "the database loses migration $newest" as_orch /bin/sh -c "sqlite3 orchestrator.db < /opt/packages/down.sql &&
        sqlite3 orchestrator.db \"DELETE FROM __diesel_schema_migrations WHERE version = '$newest_version'\""
}
in_shell 'systemctl stop orch-api.socket orch-api.service orch-worker.target; cd /var/lib/orch && cp -a orchestrator.db /opt/packages/kept.db'
whole=$(applied)
make_older
differ "it is older" "$whole" "older: $(applied)"
refuse "nothing works on it" orchctl status
check "the package is installed over it" inside dpkg -i /opt/packages/next.deb
same "it is whole again" "$whole" "$(applied)"
same "and the services' own" "orch orch" "$(in_shell 'stat -c "%U %G" /var/lib/orch/orchestrator.db')"
make_older
check "a worker is started on it" inside systemctl start orch-worker@1.service
same "it is whole again" "$whole" "$(applied)"
inside systemctl stop orch-worker.target
in_shell 'cd /var/lib/orch && rm -f orchestrator.db* && cp -a /opt/packages/kept.db orchestrator.db'
check "all goes on with what was kept" inside systemctl start orch-api.socket orch-api.service orch-worker@1.service
await 60 "the intake is ready" is_ready
