# shellcheck shell=bash
step "Install $version on a bare Debian"
inside mkdir -p /opt/packages
cp "$package" "$(root_of one)/opt/packages/this.deb"
cp "$next_package" "$(root_of one)/opt/packages/next.deb"
check "the package installs, its dependencies are met" inside dpkg -i /opt/packages/this.deb
same "its version" "$version" "$(inside dpkg-query -W -f '${Version}' orch)"
check "the accounts are there, and share no group" in_shell 'test "$(id -Gn orch) $(id -Gn orch-agent)" = "orch orch-agent"'
same "the data's folder can be passed, not read" "711 orch orch" "$(inside stat -c '%a %U %G' /var/lib/orch)"
same "the agents' home" "700 orch-agent orch-agent" "$(inside stat -c '%a %U %G' /var/lib/orch-agent)"
same "the configuration is closed to others" "640 root orch" "$(inside stat -c '%a %U %G' $config)"
same "secrets have a place of root's own" "700 root root" "$(inside stat -c '%a %U %G' /etc/credstore)"
for unit in orch-api.service orch-api.socket orch-worker@1.service orch-worker.target orch-agent.socket; do
    same "$unit was not started" inactive "$(inside systemctl is-active $unit || true)"
done
check "the units are sound" inside systemd-analyze verify --man=no /usr/lib/systemd/system/orch-api.service \
    /usr/lib/systemd/system/orch-api.socket /usr/lib/systemd/system/orch-worker@.service \
    /usr/lib/systemd/system/orch-agent.socket /usr/lib/systemd/system/orch-agent@.service
shut_in() {
    check "$1 is shut in ($(inside systemd-analyze security --no-pager "$1" | sed -n 's/.*exposure level for .*: \([0-9.]*\).*/\1/p'), $2 tenths at most)" \
        inside systemd-analyze security --threshold="$2" "$1"
}
shut_in orch-api.service 15
shut_in orch-worker@1.service 40
shut_in orch-agent@1.service 40
for page in orch-api.8 orch-worker.8 orchctl.1 orchctl-drain.1; do
    check "the page $page" in_shell "zcat /usr/share/man/man${page##*.}/$page.gz | grep -q '^.SH NAME'"
done
check "the shell completes" inside bash -c '. /usr/share/bash-completion/completions/orchctl && complete -p orchctl'
check "the programs say their version" in_shell 'orch-api --version && orch-worker --version && orchctl --version'
check "the packaged configuration is valid" as_orch orchctl --config $config config check
