# shellcheck shell=bash
step "Back up, and go on from the copy on another machine"
check "a copy is made while all runs" orchctl backup /var/lib/orch/backups/moved.db
before=$(sql "SELECT group_concat(key || ' ' || stage || ' ' || state) FROM (SELECT * FROM tasks ORDER BY key)")
check "the old machine is stopped" inside systemctl stop orch-api.socket orch-api.service orch-worker.target
power_off
new_root two
mkdir -p "$(root_of two)/opt/packages"
cp "$next_package" "$(root_of two)/opt/packages/next.deb"
cp "$(root_of one)/var/lib/orch/backups/moved.db" "$(root_of two)/opt/packages/moved.db"
mkdir -p "$(root_of two)/srv"
cp -a "$(root_of one)/srv/forge" "$(root_of two)/srv/forge"
boot two
check "the package installs" inside dpkg -i /opt/packages/next.deb
set_up_world
in_shell 'chown -R orch:orch /srv/forge && install -o orch -g orch -m 600 /opt/packages/moved.db /var/lib/orch/backups/'
check "the copy is restored" orchctl restore /var/lib/orch/backups/moved.db
refuse "nothing is restored over a database" orchctl restore /var/lib/orch/backups/moved.db
check "all is started" inside systemctl enable --now orch-api.socket orch-api.service orch-worker@1.service
same "every task stands where it stood" "$before" \
    "$(sql "SELECT group_concat(key || ' ' || stage || ' ' || state) FROM (SELECT * FROM tasks ORDER BY key)")"
await 60 "the intake is ready" is_ready
webhook approve 2 > /dev/null
await 180 "a task that was begun there is done here" task_is SYS-002 done
