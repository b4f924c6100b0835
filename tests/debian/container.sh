#!/usr/bin/env bash
# Does by hand, in a directory made by debootstrap, what etc/Containerfile says of the image that is kept, and runs a
# daemon in it as the only process of a container. For machines without podman and docker.
#
#   tests/debian/container.sh CACHE PROGRAMS
#
# As root. PROGRAMS is the directory of the built programs, in the place of what the first stage builds.
set -euo pipefail

cache=${1:?usage: container.sh CACHE PROGRAMS}
programs=$(realpath "${2:?usage: container.sh CACHE PROGRAMS}")
repository=$(realpath "$(dirname "$0")/../..")
. "$(dirname "$0")/base.sh"
minimal_debian "$cache"
place=$(mktemp -d "${TMPDIR:-/tmp}/trunkline-container-XXXXXX")
chmod 755 "$place"
root=$place/root
cleanup() {
    status=$?
    trap - EXIT
    umount -R "$root" 2> /dev/null || true
    rm -rf "$place"
    exit "$status"
}
trap cleanup EXIT
mkdir "$root"
mount -t tmpfs -o mode=755 tmpfs "$root"
cp -a "$base/." "$root/"

# Each instruction is one line then, without comments.
sed -e '/^#/d' "$repository/etc/Containerfile" | sed -e ':a' -e '/\\$/N; s/\\\n *//; ta' > "$place/lines"
stages=$(grep -c '^FROM ' "$place/lines")
[ "$stages" -eq 2 ] || { echo "two stages were expected, not $stages" >&2; exit 1; }
grep -qx 'FROM debian:bookworm-slim' "$place/lines" || { echo "the image is not Debian 12" >&2; exit 1; }
stage=0 user=root command= volume=
while read -r -u 3 word rest; do
    case $word in
        FROM) stage=$((stage + 1)) ;;
        '') ;;
        *) [ "$stage" -eq 2 ] || continue
            printf '%s %s\n' "$word" "$rest"
            case $word in
                RUN) DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c "$rest" > "$place/said" 2>&1 ||
                    { cat "$place/said" >&2; exit 1; } ;;
                COPY) read -r -a names <<< "$rest"
                    [ "${names[0]}" = --from=build ] || { echo "cannot copy ${names[0]}" >&2; exit 1; }
                    for name in "${names[@]:1:${#names[@]}-2}"; do
                        cp "$programs/$(basename "$name")" "$root${names[-1]}"
                    done ;;
                USER) user=$rest ;;
                VOLUME) [ "$(chroot "$root" stat -c '%U %a' "$rest")" = 'trunkline 750' ] ||
                    { echo "$rest is not the daemons'" >&2; exit 1; }
                    volume=$rest ;;
                WORKDIR) [ -d "$root$rest" ] ;;
                CMD) command=$(tr -d '[],"' <<< "$rest") ;;
                *) echo "$word is not known here" >&2; exit 1 ;;
            esac ;;
    esac
done 3< "$place/lines"

# inside COMMAND...: runs it as the image's user, with processes and mounts of its own, the first of all processes. An
# engine sets PATH, and HOME as /etc/passwd has it.
inside() {
    unshare --mount --pid --ipc --fork --kill-child bash -c '
        root=$1 user=$2; shift 2
        mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/var/lib/trunkline \
            chroot --userspec="$user" "$root" "$@"' _ "$root" "$user" "$@"
}
[[ "$user" =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || { echo "the daemons' user must be a number, not $user" >&2; exit 1; }
[ "$volume" = /var/lib/trunkline ] || { echo "lost changes would go with the container" >&2; exit 1; }
# shellcheck disable=SC2086
inside $command | grep -q '^Usage: trunkline'
inside pg_dump --version
for program in ticker replay; do
    sed -e 's/^logfile.*//' "$repository/etc/$program.toml" > "$root/etc/trunkline/$program.toml"
    chroot "$root" chown root:trunkline "/etc/trunkline/$program.toml"
    chmod 640 "$root/etc/trunkline/$program.toml"
    inside "$program" check-config
    # The databases of the sample are not there: the daemon says so, goes on, and ends in order at TERM.
    inside "$program" start 2> "$place/$program.log" &
    outer=$!
    until grep -qs ' started' "$place/$program.log"; do
        kill -0 "$outer" 2> /dev/null || { cat "$place/$program.log" >&2; echo "$program ended" >&2; exit 1; }
        sleep 0.1
    done
    # The last of the chain: the commands between it and this script are waiting for it.
    daemon=$outer
    while child=$(cat "/proc/$daemon/task/$daemon/children" 2> /dev/null) && [ -n "$child" ]; do daemon=${child%% *}; done
    first=$(awk '/^NSpid/ { print $NF }' "/proc/$daemon/status") ||
        { cat "$place/$program.log" >&2; echo "$program has ended" >&2; exit 1; }
    [ "$first" = 1 ] || { echo "$program is not the first process" >&2; exit 1; }
    kill -TERM "$daemon"
    status=0
    wait "$outer" || status=$?
    [ "$status" -eq 0 ] || { cat "$place/$program.log" >&2; echo "$program ended with $status" >&2; exit 1; }
done
echo "the image is as it should be"
