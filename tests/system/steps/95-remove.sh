# shellcheck shell=bash
step "Remove and purge, with an agent at work"
webhook create 4 > /dev/null
await 60 "an analyst is at work" is_at_work SYS-004
check "the package is removed" inside dpkg -r orch
for unit in orch-api.service orch-api.socket orch-worker@1.service orch-agent.socket; do
    same "$unit is stopped" inactive "$(inside systemctl is-active $unit || true)"
done
same "no process of it is left" "" "$(inside pgrep -u orch,orch-agent || true)"
check "data and configuration are kept" in_shell "test -s /var/lib/orch/orchestrator.db && test -s $config"
check "installed again, it goes on from there" inside dpkg -i /opt/packages/next.deb
check "all is started" inside systemctl start orch-api.socket orch-api.service orch-worker@1.service
inside rm -f "$played/at-SYS-004"
await 90 "the analyst is at work again" is_at_work SYS-004
check "the package is purged" inside dpkg --purge orch
same "no process of it is left" "" "$(inside pgrep -u orch,orch-agent || true)"
refuse "nothing of it is left on the disk" in_shell \
    'find /etc /usr /var/lib /run/credentials -xdev -name "*orch*" -not -path "*/dpkg/*" -not -path "/usr/share/zoneinfo/*" \
        -not -path "*/journal/*" -not -path "/var/lib/systemd/*" | grep .'
same "no unit is left" 0 "$(in_shell 'systemctl list-unit-files --no-legend "orch*" | wc -l')"
