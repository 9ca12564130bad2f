# shellcheck shell=bash
step "Configure and start it"
set_up_world
check "the configuration is valid" as_orch orchctl --config $config config check
check "socket, intake and a worker are enabled and started" inside systemctl enable --now \
    orch-api.socket orch-api.service orch-worker@1.service
await 60 "the worker is ready" in_shell 'systemctl -q is-active orch-worker@1.service'
check "the intake serves systemd's socket" in_shell 'test "$(systemctl show -P SubState orch-api.socket)" = running'
await 30 "GET /health says ready" is_ready
check "the worker brought the agents' socket up" inside systemctl -q is-active orch-agent.socket
check "both run as orch" in_shell 'test "$(ps -o user= -p $(systemctl show -P MainPID orch-api),$(systemctl show -P MainPID orch-worker@1) | sort -u)" = orch'
check "the workers are in a slice of their own" \
    in_shell 'grep -q "orch-workers.slice/orch-worker@1.service" /proc/$(systemctl show -P MainPID orch-worker@1)/cgroup'
refuse "another user reads neither data, nor configuration, nor secrets" in_shell \
    'setpriv --reuid=nobody --regid=nogroup --clear-groups cat /var/lib/orch/orchestrator.db /etc/orch/orch.toml /etc/credstore/* /run/credentials/orch-api.service/*'
refuse "no secret is in the environment" in_shell \
    'tr "\0" "\n" < /proc/$(systemctl show -P MainPID orch-api)/environ | grep a-secret'
check "orchctl doctor says that the worker may become the agents' user" in_shell "cd /var/lib/orch && setpriv --reuid=orch --regid=orch --clear-groups orchctl --config $config doctor | grep agent.user | grep -q 'may become it'"
check "orchctl shows the worker" in_shell "cd /var/lib/orch && setpriv --reuid=orch --regid=orch --clear-groups \
    orchctl --config $config status | grep -q 'orch-one:1'"
