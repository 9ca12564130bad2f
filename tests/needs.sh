#!/bin/sh
# What the tests need besides Rust, git and a C compiler: git-lfs. Does nothing where it is there. Where it cannot be
# installed the tests of Git LFS fail and say so (ORCH_TEST_ALLOW_SKIP=1 leaves them out).
git lfs version > /dev/null 2>&1 && exit 0
as_root=
[ "$(id -u)" -eq 0 ] || as_root='sudo -n'
if command -v apt-get > /dev/null; then
    echo 'git-lfs is not installed; installing it with apt-get'
    $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq git-lfs
fi
git lfs version > /dev/null 2>&1 || echo 'git-lfs could not be installed: the tests of Git LFS will fail. Install it by hand.' >&2
exit 0
