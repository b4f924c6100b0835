#!/usr/bin/env bash
# Types what docs/tutorial.md begins with and then the README's ten commands, as they stand, on two machines that have
# only Debian 12, its PostgreSQL and our package.
#
#   tests/debian/tutorial.sh CACHE PACKAGE
#
# As root. The machines are directories made by debootstrap (kept in CACHE, two minutes at the first time), each with
# processes, network, mounts and host name of its own, and a cable between them. What the tutorial takes for granted is
# made first: the database db1 of host1 with some tables, and writers that go on all the time. Each line is typed on the
# host and as the user that the page says before it. A line that ends with an error, or prints one, ends the test.
set -euo pipefail

cache=${1:?usage: tutorial.sh CACHE PACKAGE}
package=$(realpath "${2:?usage: tutorial.sh CACHE PACKAGE}")
repository=$(realpath "$(dirname "$0")/../..")
base=$cache/debian12-postgresql15
. "$(dirname "$0")/base.sh"
hosts="host1 host2"

make_base() {
    bare_debian "$base.new"
    # Nothing is started while packages are put in.
    printf '#!/bin/sh\nexit 101\n' > "$base.new/usr/sbin/policy-rc.d"
    chmod 755 "$base.new/usr/sbin/policy-rc.d"
    chroot "$base.new" apt-get -qq update >> "$base.new.log" 2>&1
    chroot "$base.new" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y postgresql >> "$base.new.log" 2>&1
    rm "$base.new/usr/sbin/policy-rc.d"
    rm -rf "$base.new/var/cache/apt/archives/"*.deb
    mv "$base.new" "$base"
}
[ -d "$base" ] || make_base

place=$(mktemp -d "${TMPDIR:-/tmp}/trunkline-tutorial-XXXXXX")
chmod 755 "$place"
declare -A init

cleanup() {
    status=$?
    trap - EXIT
    for pid in "${init[@]}"; do kill -9 "$pid" 2> /dev/null || true; done
    for host in $hosts; do
        umount -R "$place/$host/root" 2> /dev/null || true
    done
    if [ "$status" -eq 0 ]; then rm -rf "$place"; else echo "kept for you to look at: $place" >&2; fi
    exit "$status"
}
trap cleanup EXIT

# start_host HOST: a machine of its own. Everything in it ends with its first process, a shell, which collects what has ended.
start_host() {
    local dir=$place/$1
    mkdir -p "$dir/root" "$dir/upper" "$dir/work"
    # What is written stays beside the base. An overlay cannot be had on every file system.
    if ! mount -t overlay overlay -o "lowerdir=$base,upperdir=$dir/upper,workdir=$dir/work" "$dir/root" 2> /dev/null; then
        mount -t tmpfs -o mode=755 tmpfs "$dir/root"
        cp -a "$base/." "$dir/root/"
    fi
    echo "$1" > "$dir/root/etc/hostname"
    printf '127.0.0.1 localhost\n10.9.8.1 host1\n10.9.8.2 host2\n' > "$dir/root/etc/hosts"
    unshare --mount --uts --ipc --net --pid --fork --kill-child bash -c '
        mount -t proc proc "$1/proc"; mount -t tmpfs tmpfs "$1/run"; mkdir -p "$1/run/lock"; mount -t devtmpfs dev "$1/dev" 2> /dev/null ||
            mount --rbind /dev "$1/dev"
        mkdir -p "$1/dev/shm" "$1/dev/pts"; mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"; mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
        hostname "$2"; ip link set lo up; touch "$1/run/up"
        exec chroot "$1" bash -c "while true; do sleep 3600 & wait; done"' _ "$dir/root" "$1" 2> "$dir/init.log" &
    local outer=$!
    until inner=$(cat "/proc/$outer/task/$outer/children" 2> /dev/null) && [ -n "$inner" ]; do sleep 0.1; done
    init[$1]=${inner%% *}
    until [ "$(readlink "/proc/${init[$1]}/root")" = "$dir/root" ]; do sleep 0.1; done
}

# on HOST USER LINE: types a line, as a login of that user does. What `export` says holds for the lines after it.
on() {
    local host=$1 user=$2 line=$3 root=$place/$1/root
    case $line in
        export\ *) echo "$line" >> "$root/tmp/profile-$user"; return ;;
    esac
    touch "$root/tmp/profile-$user"
    local typed=/tmp/line-$BASHPID
    printf '%s\n' ". /tmp/profile-$user" "set -e -o pipefail" "$line" > "$root$typed"
    chmod 644 "$root$typed"
    nsenter -t "${init[$host]}" -m -u -i -n -p -r -w env -i TERM=dumb LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        su - "$user" -c "bash $typed"
}

for host in $hosts; do start_host "$host"; done
ip link add tl-h1 netns "${init[host1]}" type veth peer name tl-h2 netns "${init[host2]}"
for number in 1 2; do
    nsenter -t "${init[host$number]}" -n sh -c "ip addr add 10.9.8.$number/24 dev tl-h$number; ip link set tl-h$number up"
    cp "$package" "$place/host$number/root/root/"
    on "host$number" root 'service postgresql start' > /dev/null
done

# The live database.
on host1 postgres "createdb db1; psql -q db1 <<'END'
create role app login;
create table customers (id serial primary key, name text not null);
create table orders (id bigserial primary key, customer int not null references customers, note text);
alter table orders owner to app; grant select on customers to app;
insert into customers (name) select 'c' || i from generate_series(1, 500) i;
insert into orders (customer, note) select 1 + i % 500, repeat('x', i % 90) from generate_series(1, 20000) i;
END"
# They end with the machine. While the server restarts, they try again.
cat > "$place/host1/root/tmp/writers" << 'END'
while [ ! -e /tmp/stop ]; do
    psql -qX db1 -c "insert into orders (customer, note) select 1 + 499 * random()::int, 'now'" \
        -c "update customers set name = name || '.' where id = 7" || sleep 0.2
done
touch /tmp/stopped
END
on host1 postgres 'bash /tmp/writers > /tmp/writers.log 2>&1 &'

# HOST USER LINE of all that is typed, a host of "both" typed on each: the blocks of the page that follow a bold "On ...",
# then the README's block, whose comments name the hosts.
awk '/^\*\*On /{ gsub(/[^A-Za-z0-9 ]/, ""); where = ($2 == "both" ? "both" : $2); $0 = substr($0, index($0, " as ") + 4)
                 sub(/^user /, ""); where = where " " $1; next }
    /^```/ { typing = !typing && where != "" && /^```sh/; if (!typing) where = ""; next }
    typing { print where, $0 }' "$repository/docs/tutorial.md" > "$place/lines"
sed -n '/^## The tutorial in ten commands/,/^## Why/p' "$repository/README.md" | awk '
    /^```/ { typing = !typing; next }
    typing { if (match($0, /# on host[12]/)) host = substr($0, RSTART + 5, 5); print host, "trunkline", $0 }' >> "$place/lines"
[ "$(wc -l < "$place/lines")" -eq 21 ] || { echo "21 lines were to be typed:" >&2; cat "$place/lines" >&2; exit 1; }

number=0
while read -r -u 3 host user line; do
    [ "$host" != both ] || host=$hosts
    for one in $host; do
        number=$((number + 1))
        printf '%s %s$ %s\n' "$one" "$user" "$line"
        if ! on "$one" "$user" "$line" > "$place/said" 2>&1; then
            cat "$place/said"; echo "line $number failed" >&2; exit 1
        fi
        cat "$place/said"
        # apt says of itself that scripts should not use it.
        if grep -v 'apt does not have a stable' "$place/said" > "$place/checked" &&
            grep -E '(ERROR|FATAL|WARNING|error|warning):|command not found' "$place/checked"; then
            echo "line $number printed an error" >&2; exit 1
        fi
    done
done 3< "$place/lines"

touch "$place/host1/root/tmp/stop"
until [ -e "$place/host1/root/tmp/stopped" ]; do sleep 0.1; done
on host2 trunkline 'replay wait --timeout 60'
digest="select count(*), sum(hashtext(t::text)::bigint) from"
for table in customers orders; do
    here=$(on host1 postgres "psql -XAtqc '$digest $table t' db1")
    there=$(on host2 postgres "psql -XAtqc '$digest $table t' db1")
    echo "$table: $here on host1, $there on host2"
    [ "$here" = "$there" ] || { echo "$table differs" >&2; exit 1; }
done
for host in $hosts; do
    if on "$host" root "grep -hE ' (WARN|ERROR) ' /var/log/trunkline/*.log"; then
        echo "the log of $host is not clean" >&2; exit 1
    fi
    # Removed while its daemon runs, which ends; purged, nothing of ours stays but what the administrator wrote.
    on "$host" root 'DEBIAN_FRONTEND=noninteractive apt-get -qq remove -y trunkline' > "$place/said" 2>&1 || { cat "$place/said"; exit 1; }
    if on "$host" root 'grep -E "^(ticker|replay|trunkline-)" /proc/[0-9]*/comm 2> /dev/null'; then
        echo "a daemon of $host runs on without its package" >&2; exit 1
    fi
    on "$host" root 'DEBIAN_FRONTEND=noninteractive apt-get -qq purge -y trunkline' > "$place/said" 2>&1 || { cat "$place/said"; exit 1; }
    if on "$host" root 'getent passwd trunkline; ls -d /var/log/trunkline /etc/default/trunkline 2> /dev/null'; then
        echo "this was left on $host" >&2; exit 1
    fi
done
echo "every line of the tutorial works"
