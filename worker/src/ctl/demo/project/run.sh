#!/bin/sh
# Runs every test of this folder; exits 1 if one of them is red.
set -u
here=$(cd "$(dirname "$0")" && pwd)
red=0
for test in "$here"/test_*.sh; do
    if sh "$test" "$here/.."; then
        echo "ok   $(basename "$test")"
    else
        echo "FAIL $(basename "$test")"
        red=1
    fi
done
exit "$red"
