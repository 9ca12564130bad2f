#!/bin/sh
# Installs what the tests need besides Rust, git and a C compiler, where it is missing and apt-get can: git-lfs, bash and
# util-linux (prlimit, setpriv, setsid); with the argument `long` also npm, which fetches the agent CLI. What is still
# missing then is named: the tests that need it will fail, unless ORCH_TEST_ALLOW_SKIP=1 leaves them out.
wanted='git-lfs:git-lfs bash:bash prlimit:util-linux setpriv:util-linux setsid:util-linux'
[ "${1:-}" = long ] && wanted="$wanted npm:npm"

packages=
for pair in $wanted; do
    command -v "${pair%%:*}" > /dev/null || packages="$packages ${pair#*:}"
done
if [ -n "$packages" ] && command -v apt-get > /dev/null; then
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root='sudo -n'
    echo "installing with apt-get:$packages"
    # shellcheck disable=SC2086
    $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages
fi

missing=
for pair in $wanted; do
    command -v "${pair%%:*}" > /dev/null || missing="$missing ${pair%%:*}"
done
[ "$(id -u)" -eq 0 ] || missing="$missing root(agents-as-another-user)"
[ -z "$missing" ] && exit 0
if [ "${ORCH_TEST_ALLOW_SKIP:-}" = 1 ]; then
    echo "not here:$missing; tests that need it are skipped and counted" >&2
else
    echo "not here:$missing; tests that need it will fail (ORCH_TEST_ALLOW_SKIP=1 skips and counts them)" >&2
fi
exit 0
