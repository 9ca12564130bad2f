#!/bin/sh
# Runs a command that runs tests: tests/run.sh cargo test --workspace
#
# Scratch folders are made in memory where there is room: the tests write many small files and wait for a disk otherwise.
# TMPDIR names another place. At the end the tests are named that were skipped because this machine cannot run them; there
# are none unless ORCH_TEST_ALLOW_SKIP=1, since without that they fail.
set -u

# Prints the GiB that are free in a file system, and in memory.
free_in() { df -Pk "$1" 2> /dev/null | awk 'NR == 2 { print int($4 / 1048576) }'; }
free_memory() { awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2> /dev/null; }
enough() { [ "${1:-0}" -ge 6 ]; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP
if [ -z "${TMPDIR:-}" ] && enough "$(free_in /dev/shm)" && enough "$(free_memory)"; then
    memory=$(mktemp -d /dev/shm/orch-tests.XXXXXX) && trap 'rm -rf "$scratch" "$memory"' EXIT
    # Programs must be allowed to run there.
    if printf '#!/bin/sh\n' > "$memory/try" && chmod +x "$memory/try" && "$memory/try" 2> /dev/null; then
        rm "$memory/try"
        # As /tmp is: agents of another user write there, too.
        chmod 1777 "$memory"
        export TMPDIR="$memory"
    fi
fi
ORCH_TEST_SKIPS="$scratch/skips"
export ORCH_TEST_SKIPS

echo "$*" "(scratch folders in ${TMPDIR:-/tmp})"
"$@"
status=$?
if [ -s "$ORCH_TEST_SKIPS" ]; then
    echo "$(grep -c . "$ORCH_TEST_SKIPS") tests were skipped:"
    sort "$ORCH_TEST_SKIPS"
else
    echo 'No test was skipped.'
fi
exit $status
