#!/usr/bin/env bash
# Installs what the tests and fuzz targets need and runs them: the set for CI, or with --full
# every version, seed and size. The last line counts what was left out.
set -euo pipefail
cd "$(dirname "$0")/.."
. etc/need.sh

full=
case ${1-} in
    '') ;;
    --full) full=1 ;;
    *) echo "usage: bash etc/test.sh [--full]" >&2; exit 2 ;;
esac

need_debian /usr/lib/postgresql/15/bin/postgres=postgresql-15 \
    /usr/lib/postgresql/15/bin/psql=postgresql-client-15 \
    gcc=gcc g++=g++ /usr/include/stdio.h=libc6-dev python3=python3 strace=strace npm=npm node=nodejs setpriv=util-linux \
    make=make dpkg-deb=dpkg systemd-analyze=systemd \
    /usr/lib/python3.11/ensurepip=python3-venv \
    /usr/sbin/haproxy=haproxy /usr/sbin/keepalived=keepalived /usr/sbin/ip=iproute2 unshare=util-linux \
    /usr/sbin/ocf-tester=resource-agents /usr/share/heartbeat/ResourceManager=heartbeat \
    barman=barman age=age /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1=libfaketime \
    /usr/lib/x86_64-linux-gnu/libnss_wrapper.so=libnss-wrapper \
    chromium=chromium promtool=prometheus logrotate=logrotate curl=curl \
    pgqd=pgqd pgbouncer=pgbouncer /usr/lib/python3/dist-packages/pgq=python3-pgq \
    /usr/lib/python3/dist-packages/psycopg2=python3-psycopg2 \
    /usr/share/postgresql/15/extension/pgq.control=postgresql-15-pgq3 \
    /usr/share/postgresql/15/extension/pgq_node.control=postgresql-15-pgq-node \
    londiste=python3-londiste /usr/share/postgresql/15/extension/londiste.control=postgresql-15-londiste-sql
need_rust

# The package of the programs, and the tutorial on machines that have nothing else: minutes, so not in the set for CI.
if [ -n "$full" ]; then
    need_debian dpkg-shlibdeps=dpkg-dev lintian=lintian debootstrap=debootstrap ip=iproute2 nsenter=util-linux \
        musl-gcc=musl-tools
    [ -d "$(rustc --print target-libdir --target x86_64-unknown-linux-musl)" ] || rustup target add x86_64-unknown-linux-musl
    cargo deb --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-deb
fi

runner=nextest
if ! cargo nextest --version >/dev/null 2>&1; then
    echo "cargo-nextest is missing: installing it (cargo install --locked cargo-nextest)"
    if ! cargo install --quiet --locked cargo-nextest; then
        echo "cargo-nextest could not be installed: running the tests with cargo test instead"
        runner=test
    fi
fi

# The programs under test, as users get them: optimised. The harness finds them
# beside the tests of the same profile.
profile=ci
cargo build --profile "$profile" --workspace --bins
export TRUNKLINE_BUILT=1

# The tests' clusters are some thousand small files each. A file system may spend a third of a run's CPU on them, so they
# are made in memory where there is room, and where programs may be run.
kb_free() { df --output=avail -k "$1" 2>/dev/null | tail -n 1; }
kb_available() { awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo; }
may_run_in() {
    local probe
    probe=$(mktemp "$1/trunkline-probe-XXXXXX") || return 1
    printf '#!/bin/sh\n' >"$probe" && chmod +x "$probe" && "$probe" 2>/dev/null
    local can=$?
    rm -f "$probe"
    return "$can"
}
room=8000000
if [ -z "${TRUNKLINE_SCRATCH-}" ] && [ "$(kb_free /dev/shm || echo 0)" -gt "$room" ] &&
    [ "$(kb_available)" -gt "$room" ] && may_run_in /dev/shm; then
    export TRUNKLINE_SCRATCH=/dev/shm
fi

left_out=$(mktemp)
trap 'rm -f "$left_out"' EXIT
export TRUNKLINE_LEFT_OUT=$left_out

listed=0
if [ -n "$full" ]; then
    export TRUNKLINE_FULL=1
fi
case $runner$full in
    nextest) cargo nextest run --cargo-profile "$profile" --workspace --profile ci --no-fail-fast ;;
    nextest1) cargo nextest run --cargo-profile "$profile" --workspace --profile full --no-fail-fast --run-ignored all ;;
    test) cargo test --profile "$profile" --workspace --no-fail-fast -- --test-threads 4 ;;
    test1) cargo test --profile "$profile" --workspace --no-fail-fast -- --test-threads 4 --include-ignored ;;
esac

# The fuzz targets of every parser; they take what is built already.
bash tests/fuzz/run.sh $([ -n "$full" ] && echo 60 || echo 20)

# Tests that only --full runs are marked #[ignore]; tests that run with fewer
# versions, seeds or sizes wrote a line for each kind that they cut.
if [ -z "$full" ]; then
    listed=$({ grep -rhE '^[[:space:]]*#\[ignore' --include='*.rs' admin replay sql tests ticker benches || true; } | wc -l)
    cut=$(awk '{ n[$2] += $1 } END { for (kind in n) printf ", %d %s", n[kind], kind }' "$left_out")
    echo "left out of this shorter set: $listed tests$cut (bash etc/test.sh --full runs them)"
else
    echo "left out: nothing"
fi
