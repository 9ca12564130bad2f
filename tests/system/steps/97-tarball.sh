# shellcheck shell=bash
step "The same without a package: unpacked on a third machine"
if [ -z "$tarball" ]; then
    note "SKIPPED: no tarball was given"
    return 0
fi
power_off
new_root three
names() { sed 's|^\./||; s|/$||; s|^usr/local/|usr/|; s|/vendor-completions/|/site-functions/|; s|\.gz$||' | grep -E '^usr/(bin|lib|share/(man|.*completions|.*functions))/.*[^/]$' | sort; }
same "it has every program, unit, page and completion of the package" "" "$(comm -3 \
    <(dpkg-deb --fsys-tarfile "$package" | tar -t | grep -v lintian | names | grep -v -x -f <(dpkg-deb --fsys-tarfile "$package" | tar -t | grep '/$' | names)) \
    <(tar -tf "$tarball" | grep -v '/$' | names))"
same "its programs ask for the C library alone" "" "$(tar -xOf "$tarball" usr/local/bin/orch-worker > "$scratch/program" &&
    ldd "$scratch/program" | grep -vE 'linux-vdso|ld-linux|lib(c|m|gcc_s|pthread|dl|rt)\.so' || true)"
rm -f "$scratch/program"
tar -xf "$tarball" -C "$(root_of three)"
boot three
check "accounts and folders are made" in_shell 'systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload'
check "the example is a configuration" in_shell "install -g orch -m 640 /usr/local/share/doc/orch/orch.toml $config"
check "it is valid" as_orch orchctl --config $config config check
in_shell 'mkdir -p /srv/forge'
cp -a "$(root_of two)/srv/forge/greeter.git" "$(root_of three)/srv/forge/" && in_shell 'chown -R orch:orch /srv/forge'
set_up_world
check "all is started" inside systemctl enable --now orch-api.socket orch-api.service orch-worker@1.service
check "it is what was unpacked" in_shell 'readlink /proc/$(systemctl show -P MainPID orch-worker@1)/exe | grep -qx /usr/local/bin/orch-worker'
await 60 "the intake is ready" is_ready
webhook create 6 > /dev/null
await 60 "an analyst is at work" is_at_work SYS-006
same "it is the agents' user" orch-agent "$(inside ps -o user= -p "$(agent | cut -d: -f1)")"
let_go SYS-006
await 60 "the analysis waits for a person" task_is SYS-006 waiting_approval
