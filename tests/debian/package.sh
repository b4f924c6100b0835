#!/usr/bin/env bash
# Installs an older release of our package beside Debian's program `ticker`, upgrades it while a daemon runs and files
# of the administrator are there, removes it and purges it, on a machine that has only Debian 12.
#
#   tests/debian/package.sh CACHE PACKAGE
#
# As root. The machine is a directory made by debootstrap, which tests/debian/container.sh uses too. The older release
# is this package with a lower version, one file more, and another /etc/default/trunkline.
set -euo pipefail

cache=${1:?usage: package.sh CACHE PACKAGE}
package=$(realpath "${2:?usage: package.sh CACHE PACKAGE}")
. "$(dirname "$0")/base.sh"
minimal_debian "$cache"
place=$(mktemp -d "${TMPDIR:-/tmp}/trunkline-package-XXXXXX")
chmod 755 "$place"
root=$place/root
init=
cleanup() {
    status=$?
    trap - EXIT
    [ -z "$init" ] || kill -9 "$init" 2> /dev/null || true
    umount -R "$root" 2> /dev/null || true
    rm -rf "$place"
    exit "$status"
}
trap cleanup EXIT
fail() { echo "$*" >&2; exit 1; }

mkdir "$root"
mount -t tmpfs -o mode=755 tmpfs "$root"
cp -a "$base/." "$root/"
mkdir "$root/packages"

# The older release.
dpkg-deb -R "$package" "$place/old"
version=$(dpkg-deb -f "$package" Version)
sed -i 's/^Version: .*/Version: 0.0.1-1/' "$place/old/DEBIAN/control"
echo '# of the older release' >> "$place/old/etc/default/trunkline"
mkdir -p "$place/old/usr/share/trunkline"
touch "$place/old/usr/share/trunkline/gone"
(cd "$place/old" && find usr etc -type f -exec md5sum {} + > DEBIAN/md5sums)
dpkg-deb --root-owner-group -Znone --build "$place/old" "$root/packages/old.deb" > /dev/null
cp "$package" "$root/packages/new.deb"

# Everything of the machine has processes of its own, which end with it.
unshare --mount --pid --ipc --fork --kill-child bash -c '
    mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"
    exec chroot "$1" bash -c "while true; do sleep 3600 & wait; done"' _ "$root" &
outer=$!
until init=$(cat "/proc/$outer/task/$outer/children" 2> /dev/null) && [ -n "$init" ]; do sleep 0.1; done
init=${init%% *}
until [ "$(readlink "/proc/$init/root")" = "$root" ]; do sleep 0.1; done
on() { nsenter -t "$init" -m -i -p -r -w env -i LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
quietly() { on "$@" > "$place/said" 2>&1 || { cat "$place/said" >&2; fail "failed: $*"; }; }
user() { on setpriv --reuid=trunkline --regid=trunkline --init-groups "$@"; }

quietly apt-get -qq update
quietly apt-get -qq install --no-install-recommends -y ticker /packages/old.deb
on test -e /usr/share/trunkline/gone || fail "the older release is not there"

# What the administrator writes, and a daemon that was started by hand.
printf '%s\n' '[ticker]' 'job_name = "t1"' 'db = "host=127.0.0.1 port=1 dbname=x user=u"' 'queues = ["q"]' \
    'logfile = "/var/log/trunkline/t1.log"' > "$root/etc/trunkline/ticker.toml"
echo 'PROVIDER_PASSWORD=mine' >> "$root/etc/default/trunkline"
echo '*:*:*:*:mine' > "$root/var/lib/trunkline/.pgpass"
id=$(on id trunkline)
# A mode that the administrator has chosen.
on chmod 700 /var/log/trunkline
user trunkline-ticker start -d > /dev/null 2>&1
pid=$(on cat /run/trunkline/t1.pid)

quietly apt-get -qq install --no-install-recommends -y -o Dpkg::Options::=--force-confold /packages/new.deb
[ "$(on dpkg-query -W -f '${Version}' trunkline)" = "$version" ] || fail "it is not the new version"
[ "$(on id trunkline)" = "$id" ] || fail "the user has changed"
[ "$(on stat -c '%a' /var/log/trunkline)" = 700 ] || fail "an upgrade has changed the mode of a directory"
on test ! -e /usr/share/trunkline/gone || fail "a file of the older release is left"
for line in 'etc/default/trunkline PROVIDER_PASSWORD=mine' 'etc/trunkline/ticker.toml t1' 'var/lib/trunkline/.pgpass mine'; do
    grep -q "${line#* }" "$root/${line% *}" || fail "${line% *} is not the administrator's any more"
done
# Changed files of the package, but for the one that the administrator has changed.
changed=$(on dpkg --verify trunkline | grep -v ' c /etc/default/trunkline$' || true)
[ -z "$changed" ] || fail "differs from the package: $changed"
[ "$(on stat -c '%U:%G %a' /etc/default/trunkline)" = 'root:trunkline 640' ] || fail "others may read the passwords"
for unit in ticker replay ticker@ replay@; do
    file=/usr/lib/systemd/system/trunkline-$unit.service
    [ "$(on dpkg -S "$file")" = "trunkline: $file" ] || fail "$file is not the package's"
    program=$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$root$file")
    on "$program" --version > /dev/null || fail "$file names $program"
done
on bash -n /usr/share/bash-completion/completions/trunkline-replay
# A running daemon goes on with the program that it has, and a restart takes the new one.
on sh -c 'kill -0 "$1"' _ "$pid" || fail "the upgrade has ended a daemon"
user trunkline-ticker restart > /dev/null 2>&1 || true
until now=$(on cat /run/trunkline/t1.pid 2> /dev/null) && [ -n "$now" ] && [ "$now" != "$pid" ]; do sleep 0.1; done
[ "$(on readlink "/proc/$now/exe")" = /usr/bin/trunkline-ticker ] || fail "the old program runs on"
# An administrator may delete a config file; the package goes on without it.
on rm /etc/default/trunkline
quietly apt-get -qq install --reinstall --no-install-recommends -y /packages/new.deb
[ "$(on dpkg-query -W -f '${Status}' trunkline)" = 'install ok installed' ] || fail "the package is left half installed"
on test ! -e /etc/default/trunkline || fail "a config file that was deleted is back"
# Debian's program of the short name is untouched.
[ "$(on dpkg -S "$(on sh -c 'command -v ticker')")" = "ticker: /usr/bin/ticker" ] || fail "ticker is not Debian's"
[ -z "$(on dpkg --verify ticker)" ] || fail "a file of Debian's ticker was changed"

quietly apt-get -qq remove -y trunkline
on sh -c '! kill -0 "$1" 2> /dev/null' _ "$now" || fail "a daemon runs on without its package"
on test -e /var/log/trunkline/t1.log || fail "a removal took the logs"
left=$(on sh -c 'ls -d /usr/bin/trunkline* /usr/lib/trunkline /usr/lib/systemd/system/trunkline* 2> /dev/null' || true)
[ -z "$left" ] || fail "a removal left $left"
quietly apt-get -qq purge -y trunkline
left=$(on sh -c 'ls -d /var/log/trunkline /run/trunkline /etc/default/trunkline 2> /dev/null' || true)
[ -z "$left" ] || fail "a purge left $left"
grep -q t1 "$root/etc/trunkline/ticker.toml" || fail "a purge took the administrator's config"
# What is left of ours belongs to nobody else, whichever users are made from now on.
nobodys=$(on find /var/lib/trunkline /etc/trunkline \( -nouser -o -nogroup \))
[ -z "$nobodys" ] || fail "the next user gets $nobodys"
# Once more, over what the administrator has kept.
quietly apt-get -qq install --no-install-recommends -y /packages/new.deb
[ "$(on stat -c '%U:%G %a' /etc/trunkline)" = 'root:trunkline 750' ] || fail "/etc/trunkline is not group trunkline's"
user trunkline-ticker check-config > /dev/null || fail "the config that was kept cannot be read"
# With nothing left the user goes too.
on sh -c 'rm -rf /etc/trunkline/* /var/lib/trunkline/.[!.]* /var/lib/trunkline/*'
quietly apt-get -qq purge -y trunkline
left=$(on sh -c 'getent passwd trunkline; getent group trunkline; ls -d /etc/trunkline /var/lib/trunkline 2> /dev/null' || true)
[ -z "$left" ] || fail "a purge with nothing to keep left $left"
echo "installed, upgraded, removed, purged and installed again"
