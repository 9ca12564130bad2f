# shellcheck shell=bash
step "Install $version on a bare Debian"
inside mkdir -p /opt/packages
cp "$package" "$(root_of one)/opt/packages/this.deb"
cp "$next_package" "$(root_of one)/opt/packages/next.deb"
check "the package installs, its dependencies are met" inside dpkg -i /opt/packages/this.deb
same "its version" "$version" "$(inside dpkg-query -W -f '${Version}' orch)"
check "the account is there" inside id orch
same "the data's folder" "750 orch orch" "$(inside stat -c '%a %U %G' /var/lib/orch)"
same "the configuration is closed to others" "640 root orch" "$(inside stat -c '%a %U %G' $config)"
same "secrets have a place of root's own" "700 root root" "$(inside stat -c '%a %U %G' /etc/credstore)"
for unit in orch-api.service orch-api.socket orch-worker@1.service orch-worker.target; do
    same "$unit was not started" inactive "$(inside systemctl is-active $unit || true)"
done
check "the units are sound" inside systemd-analyze verify --man=no /usr/lib/systemd/system/orch-api.service \
    /usr/lib/systemd/system/orch-api.socket /usr/lib/systemd/system/orch-worker@.service
check "the intake is shut in (1.5 at most)" inside systemd-analyze security --threshold=15 orch-api.service
check "the workers are shut in (4.0 at most)" inside systemd-analyze security --threshold=40 orch-worker@1.service
for page in orch-api.8 orch-worker.8 orchctl.1 orchctl-drain.1; do
    check "the page $page" in_shell "zcat /usr/share/man/man${page##*.}/$page.gz | grep -q '^.SH NAME'"
done
check "the shell completes" inside bash -c '. /usr/share/bash-completion/completions/orchctl && complete -p orchctl'
check "the programs say their version" in_shell 'orch-api --version && orch-worker --version && orchctl --version'
check "the packaged configuration is valid" as_orch orchctl --config $config config check
