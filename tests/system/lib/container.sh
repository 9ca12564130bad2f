# Booted containers: `boot NAME`, `inside COMMAND...`, `power_off`, `reboot_inside`. One is current at a time.
# shellcheck shell=bash

nspawn=
leader=
current=

root_of() { echo "$scratch/root-$1"; }

# A fresh copy of the base system.
new_root() {
    local root; root=$(root_of "$1")
    rm -rf "$root"
    cp -a "$scratch/base-$suite" "$root"
    : > "$root/etc/machine-id"
    rm -f "$root/var/lib/dbus/machine-id"
    echo "orch-$1" > "$root/etc/hostname"
}

# Without a bus or a service manager of its own, the machine that runs the test must not be asked to register anything.
boot() {
    current=$1
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=${ORCH_SYSTEM_UNIFIED:-1} systemd-nspawn --quiet --register=no --keep-unit \
        --private-network --boot --hostname="orch-$1" --directory="$(root_of "$1")" \
        < /dev/null > "$scratch/console-$1.log" 2>&1 &
    nspawn=$!
    await_boot
}

await_boot() {
    local state=
    for _ in $(seq 600); do
        kill -0 "$nspawn" 2>/dev/null || { cat "$scratch/console-$current.log" >&2; fail "the container did not boot"; }
        leader=$(pgrep -P "$nspawn" | head -n 1 || true)
        if [ -n "$leader" ]; then
            state=$(inside systemctl is-system-running 2>/dev/null || true)
            case $state in running | degraded) return 0 ;; esac
        fi
        sleep 0.2
    done
    fail "the container did not come up: ${state:-no answer}"
}

# Runs a command in the current container, as its root.
inside() {
    nsenter --target "$leader" --all -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
        /bin/sh -c 'cd / && exec "$@"' sh "$@"
}

# A shell line in the current container.
in_shell() { inside /bin/sh -c "$1"; }

# The same as the services' user, for orchctl.
as_orch() {
    inside setpriv --reuid=orch --regid=orch --clear-groups --inh-caps=-all \
        env HOME=/var/lib/orch /bin/sh -c 'cd /var/lib/orch && exec "$@"' sh "$@"
}

# The machine goes down and comes up again. Where nobody keeps the container for it, systemd-nspawn ends and says by its
# code (133) that its system wants to be booted anew.
reboot_inside() {
    local code=0
    inside systemctl reboot || true
    for _ in $(seq 900); do
        kill -0 "$nspawn" 2>/dev/null || break
        sleep 0.2
    done
    wait "$nspawn" || code=$?
    [ "$code" = 133 ] || fail "the container ended with $code instead of rebooting"
    boot "$current"
}

power_off() {
    [ -n "$nspawn" ] || return 0
    inside systemctl poweroff >/dev/null 2>&1 || true
    for _ in $(seq 300); do
        kill -0 "$nspawn" 2>/dev/null || { nspawn=; return 0; }
        sleep 0.2
    done
    kill -TERM "$nspawn" 2>/dev/null || true
    nspawn=
}

stop_containers() {
    local code=$?
    power_off
    if [ "${ORCH_SYSTEM_KEEP:-0}" != 1 ]; then
        rm -rf "$scratch"/root-*
    fi
    return "$code"
}
