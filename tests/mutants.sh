#!/usr/bin/env bash
# Changes the rules (common/src/domain) one place at a time, in the ways that cargo-mutants knows, and says which changes no unit
# test of theirs notices; `make mutants`. The rules know nothing of the rest of their crate, so they are built alone: a change
# costs some seconds. There are more of them than fit into MINUTES (30): they are tried in random order, and how many is said.
# Exits with 1 where less than 95 % of those that build are noticed.
set -euo pipefail
cd "$(dirname "$0")/.."

version=27.1.0
out=$PWD/target/mutants
alone=$out/rules
export PATH=$PWD/target/tools/bin:$PATH

[[ $(cargo mutants --version 2>/dev/null) == *" $version" ]] ||
    cargo install --locked --debug --root target/tools cargo-mutants --version "$version"

# The rules, their tests and what these read, as a package of its own, with the dependencies that they name.
rm -rf "$out"
mkdir -p "$alone/common/src" "$alone/tests"
cp -r common/src/domain "$alone/common/src/"
cp -r tests/fixtures "$alone/tests/"
cp -r .cargo Cargo.lock "$alone/"
echo 'pub mod domain;' > "$alone/common/src/lib.rs"
sed 's/^members = .*/members = ["common"]/; /^default-members = /d' Cargo.toml > "$alone/Cargo.toml"
awk -v used="$(grep -rhoE '\b[a-z0-9_]+::' common/src/domain | sort -u | tr '\n' ' ')" '
    /^\[/ { dependencies = /dependencies/ }
    { name = $0; sub(/\.workspace.*/, "", name); gsub(/-/, "_", name) }
    !dependencies || !/\.workspace = true/ || index(" " used, " " name "::")
' common/Cargo.toml > "$alone/common/Cargo.toml"

# It ends when all are tried, or when the time is over. Tests of bounded memory take longer than all others together.
long=(records_of_fifty_megabytes large_values_are_cut any_number_of_answers more_records_never_make)
export TMPDIR=$out CARGO_PROFILE_DEV_DEBUG=0 PROPTEST_CASES=${PROPTEST_CASES:-64} RUST_BACKTRACE=0
timeout --signal=INT "${MINUTES:-30}m" cargo mutants --dir "$alone" --output "$out" --jobs "${JOBS:-1}" \
    --shuffle --colors never --no-times -- --lib -- "${long[@]/#/--skip=}" || true

found() { sort "$out/mutants.out/$1.txt" 2>/dev/null || true; }
caught=$(($(found caught | wc -l) + $(found timeout | wc -l)))
missed=$(found missed | wc -l)
all=$(cargo mutants --dir "$alone" --list | wc -l)
echo "noticed by no test:"
found missed
tried=$((caught + missed))
echo "$tried of $all changes were tried, as many as there was time for; $caught of them noticed; $(found unviable | wc -l) more did not build"
((tried > 0 && caught * 100 >= tried * 95))
