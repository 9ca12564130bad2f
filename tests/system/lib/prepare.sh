# What the test needs before there is a container: tools, two versions of the package, a base system.
# shellcheck shell=bash

prepare_tools() {
    local wanted=()
    command -v debootstrap > /dev/null || wanted+=(debootstrap)
    command -v systemd-nspawn > /dev/null || wanted+=(systemd-container)
    [ ${#wanted[@]} = 0 ] || { apt-get update -qq && apt-get install -y -qq "${wanted[@]}"; } > /dev/null
}

# The given package or a new one, and the same again as a later version, for the upgrade.
prepare_packages() {
    package=$1 tarball=$2
    if [ -z "$package" ]; then
        command -v cargo-deb > /dev/null || cargo install cargo-deb --locked
        rm -rf "$repository/target/debian" "$repository"/target/orch-*.tar.gz
        make -C "$repository" --no-print-directory deb tarball
        package=$(ls "$repository"/target/debian/orch_*.deb)
        tarball=$(ls "$repository"/target/orch-*.tar.gz)
    fi
    version=$(dpkg-deb -f "$package" Version)
    next_version=$version+next
    next_package=$scratch/next.deb
    rm -rf "$scratch/next"
    dpkg-deb -R "$package" "$scratch/next"
    sed -i "s/^Version: .*/Version: $next_version/" "$scratch/next/DEBIAN/control"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$scratch/next" "$next_package" > /dev/null
    rm -rf "$scratch/next"
}

# Debian with what the package depends on and what the test itself uses in there.
prepare_base() {
    local base=$scratch/base-$suite
    [ ! -e "$base/.complete" ] || return 0
    rm -rf "$base"
    debootstrap --variant=minbase --include="systemd,systemd-sysv,dbus,git,ca-certificates,procps,python3,sqlite3,man-db" \
        "$suite" "$base" > "$scratch/debootstrap.log"
    touch "$base/.complete"
}
