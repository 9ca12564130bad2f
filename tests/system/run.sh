#!/usr/bin/env bash
# The system test: installs the package on a Debian of its own, booted in a container, and does to it what happens to
# services: kills, restarts, an upgrade, a flood, a reboot, a move to another machine, removal.
#
#   tests/system/run.sh [PACKAGE.deb [TARBALL]]    without them, `make deb tarball` builds both (PROFILE=dev: quickly)
#
# Needs root, and Debian's packages debootstrap and systemd-container (installed if they are missing). The containers
# have no network but a loopback of their own. Environment: ORCH_SYSTEM_DIR, where it works (kept: base system, log);
# ORCH_SYSTEM_SUITE, the Debian release; ORCH_SYSTEM_KEEP=1 leaves the containers' folders; ORCH_SYSTEM_STEPS, numbers of steps to play.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
scratch=${ORCH_SYSTEM_DIR:-/var/tmp/orch-system-test}
suite=${ORCH_SYSTEM_SUITE:-bookworm}

[ "$(id -u)" = 0 ] || { echo "the system test boots a container and so needs root" >&2; exit 2; }
mkdir -p "$scratch"

# shellcheck source=tests/system/lib/container.sh
. "$here/lib/container.sh"
# shellcheck source=tests/system/lib/checks.sh
. "$here/lib/checks.sh"
# shellcheck source=tests/system/lib/world.sh
. "$here/lib/world.sh"
# shellcheck source=tests/system/lib/prepare.sh
. "$here/lib/prepare.sh"

trap 'stop_containers' EXIT
trap 'exit 130' INT TERM
trap 'fail "unexpectedly: $BASH_COMMAND"' ERR
set -E

prepare_tools
prepare_packages "${1:-}" "${2:-}"
prepare_base
new_root one
boot one

for script in "$here"/steps/*.sh; do
    number=$(basename "$script"); number=${number%%-*}
    if [ -z "${ORCH_SYSTEM_STEPS:-}" ] || [[ " $ORCH_SYSTEM_STEPS " == *" $number "* ]]; then
        # shellcheck source=/dev/null
        . "$script"
    fi
done
finish
