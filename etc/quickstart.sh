#!/usr/bin/env bash
# A whole replication on this machine in a few minutes: two throw-away PostgreSQL
# servers, the commands of the tutorial as one would type them, a load, and the
# comparison of both sides. --archive goes on: a backup, a table dropped by
# mistake, and its rows back. Cleans up after itself; --keep leaves it running.
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD
. etc/need.sh

keep=
archive=
for word in "$@"; do
    case $word in
        --keep) keep=1 ;;
        --archive) archive=1 ;;
        *) echo "usage: bash etc/quickstart.sh [--archive] [--keep]" >&2; exit 2 ;;
    esac
done

need_debian /usr/lib/postgresql/15/bin/pgbench=postgresql-15 \
    /usr/lib/postgresql/15/bin/psql=postgresql-client-15 \
    gcc=gcc /usr/include/stdio.h=libc6-dev setpriv=util-linux
need_rust
bin=/usr/lib/postgresql/15/bin

echo "== Building (cargo build --profile ci: as --release, without the minutes of link-time optimisation)"
# What is shown here needs no object store and no encryption: 136 crates less.
cargo build --quiet --profile ci --locked --no-default-features -p ticker -p replay -p admin
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export PATH=$target/ci:$bin:$PATH
unset "${!PG@}" TRUNKLINE_CONFIG

dir=$(mktemp -d "${TMPDIR:-/tmp}/trunkline-quickstart-XXXXXX")
chmod 755 "$dir"

cleanup() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$keep" ] && [ "$status" -eq 0 ]; then
        look_around
        exit 0
    fi
    cd /
    if [ "$status" -ne 0 ]; then
        echo "The quick start failed (exit code $status). The ends of the logs:" >&2
        tail -n 20 "$dir"/log/*.log >&2 || true
    fi
    for program in replay ticker; do
        [ -f "$dir/etc/$program.toml" ] && "$program" -c "$dir/etc/$program.toml" stop --fast >/dev/null 2>&1 || true
    done
    for node in provider subscriber; do
        [ -d "$dir/$node/data" ] && as_postgres "$bin/pg_ctl" -D "$dir/$node/data" -s -m immediate stop 2>/dev/null || true
    done
    rm -rf "$dir"
    exit "$status"
}

look_around() {
    cat <<EOF

Everything is left running in $dir. To look around:
    cd $dir
    export PATH=$target/ci:$bin:\$PATH
    trunkline -c etc/replay.toml status
    replay -c etc/replay.toml tables
    psql '$provider'
    psql '$subscriber'
    tail -f log/*.log
To end it:
    replay -c etc/replay.toml stop; ticker -c etc/ticker.toml stop
EOF
    for node in provider subscriber; do
        if [ "$(id -u)" -eq 0 ]; then
            echo "    setpriv --reuid=postgres --regid=postgres --init-groups $bin/pg_ctl -D $dir/$node/data -m fast stop"
        else
            echo "    $bin/pg_ctl -D $dir/$node/data -m fast stop"
        fi
    done
    echo "    rm -rf $dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Shows a command as one would type it, and runs it.
run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

# start_server NODE PORT
start_server() {
    mkdir "$dir/$1"
    [ "$(id -u)" -ne 0 ] || chown postgres:postgres "$dir/$1"
    as_postgres "$bin/initdb" -D "$dir/$1/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    cat >>"$dir/$1/data/postgresql.conf" <<EOF
port = $2
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir/$1'
shared_buffers = 256MB
max_wal_size = 2GB
EOF
    as_postgres "$bin/pg_ctl" -D "$dir/$1/data" -l "$dir/$1/server.log" -w -s start
}

echo "== Two PostgreSQL servers in $dir"
provider_port=$(free_port 24001)
subscriber_port=$(free_port $((provider_port + 1)))
start_server provider "$provider_port"
start_server subscriber "$subscriber_port"
provider="host=127.0.0.1 port=$provider_port user=postgres dbname=db1"
subscriber="host=127.0.0.1 port=$subscriber_port user=postgres dbname=db1"
for port in "$provider_port" "$subscriber_port"; do
    psql -qX "host=127.0.0.1 port=$port user=postgres dbname=postgres" -c 'create database db1'
done

echo "== pgbench tables at scale 10 on the provider, a million rows"
pgbench -i -q -s 10 "$provider" 2>&1 | tail -n 1
psql -qX "$provider" -c 'alter table pgbench_history add column hid bigserial primary key'

# The sample configs with this place's connection strings and paths.
mkdir "$dir/etc" "$dir/log" "$dir/run"
for program in ticker replay; do
    sed -e "s|^db .*|db = \"$provider\"|" \
        -e "s|^provider_db .*|provider_db = \"$provider\"|" \
        -e "s|^subscriber_db .*|subscriber_db = \"$subscriber\"|" \
        -e "s|/var/log/trunkline/|$dir/log/|" -e "s|/run/trunkline/|$dir/run/|" \
        "$repo/etc/$program.toml" >"$dir/etc/$program.toml"
done
cd "$dir"

echo
echo "== On the provider's host"
run ticker -c etc/ticker.toml install
run ticker -c etc/ticker.toml start -d

echo
echo "== On the subscriber's host"
# -x: a dump has no roles, so the grants to the provider's roles stay behind.
printf '\n$ pg_dump -s -x "%s" | psql -qX "%s"\n' "$provider" "$subscriber"
pg_dump -s -x "$provider" | psql -qX -v ON_ERROR_STOP=1 -o /dev/null "$subscriber"
run replay -c etc/replay.toml install
run replay -c etc/replay.toml start -d
run replay -c etc/replay.toml add --all
run replay -c etc/replay.toml add-seq --all

printf '\n$ replay -c etc/replay.toml tables   (until every table says ok)\n'
started=$SECONDS
before=
while true; do
    tables=$(replay -c etc/replay.toml tables)
    [ "$tables" = "$before" ] || printf '%s\n\n' "$tables"
    before=$tables
    [ "$(tail -n +2 <<<"$tables" | awk '{print $2}' | grep -vc '^ok$')" -ne 0 ] || break
    if [ $((SECONDS - started)) -gt 600 ]; then
        echo "The tables are not in sync after 10 minutes." >&2
        exit 4
    fi
    sleep 0.2
done
echo "In sync after $((SECONDS - started)) s."

echo
echo "== Ten seconds of pgbench on the provider, replicated as it runs"
pgbench -n -c 2 -T 10 -P 2 "$provider" 2>&1 | grep -E '^(progress|number of transactions actually|tps)'
started=$(date +%s%N)
run replay -c etc/replay.toml wait --timeout 120
echo "Everything applied $((($(date +%s%N) - started) / 1000000)) ms after the load ended."
run trunkline -c etc/replay.toml status

echo
echo "== Both sides, table by table"
differ=0
digest="select count(*) || ' rows, checksum ' || coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0) from public.%s t"
for table in pgbench_accounts pgbench_branches pgbench_history pgbench_tellers; do
    # shellcheck disable=SC2059
    query=$(printf "$digest" "$table")
    here=$(psql -XAtq "$provider" -c "$query")
    there=$(psql -XAtq "$subscriber" -c "$query")
    printf '%-17s provider   %s\n%-17s subscriber %s   ' "$table" "$here" '' "$there"
    if [ "$here" = "$there" ]; then echo same; else echo DIFFERENT; differ=1; fi
done
[ "$differ" -eq 0 ]

[ -n "$archive" ] || exit 0

echo
echo "== A backup: every change in files, and a base to begin from"
cat >>etc/replay.toml <<EOF

[[subscriber]]
name    = "backup"
archive = "file://$dir/archive"
EOF
run replay -c etc/replay.toml install
run replay -c etc/replay.toml add --all --with-seqs --subscriber backup
run replay -c etc/replay.toml restart
run replay -c etc/replay.toml base
echo
echo "== Five more seconds of pgbench, and then a mistake"
pgbench -n -c 2 -T 5 "$provider" 2>&1 | grep -E '^(number of transactions actually|tps)'
tellers='pgbench_tellers'
# shellcheck disable=SC2059
before=$(psql -XAtq "$provider" -c "$(printf "$digest" "$tellers")")
sleep 0.2
time=$(psql -XAtq "$provider" -c "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
sleep 0.2
printf '\n$ psql "%s" -c "drop table pgbench_tellers"\n' "$provider"
psql -qX "$provider" -c 'drop table pgbench_tellers'
run replay -c etc/replay.toml archive switch --timeout 60
run replay -c etc/replay.toml archive list
echo
echo "== The table as it was at $time, beside the others"
run replay -c etc/replay.toml restore --into "$provider" --to "$time" --table public.pgbench_tellers=public.tellers_before
# shellcheck disable=SC2059
after=$(psql -XAtq "$provider" -c "$(printf "$digest" tellers_before)")
printf 'before the mistake %s\nrestored           %s\n' "$before" "$after"
[ "$before" = "$after" ]
echo
echo "== All of the database as it was, in another one"
psql -qX "host=127.0.0.1 port=$subscriber_port user=postgres dbname=postgres" -c 'create database db1_then'
run replay -c etc/replay.toml restore --into "host=127.0.0.1 port=$subscriber_port user=postgres dbname=db1_then" --to "$time" -j 2
then="host=127.0.0.1 port=$subscriber_port user=postgres dbname=db1_then"
after=$(psql -XAtq "$then" -c "$(printf "$digest" "$tellers")")
printf 'before the mistake %s\nrestored           %s\n' "$before" "$after"
[ "$before" = "$after" ]
