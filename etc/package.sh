#!/bin/sh
# Builds Debian packages, without root: postgresql-N-trunkline, the extensions for PostgreSQL N, and trunkline, the programs.
#   sh etc/package.sh OUT "VERSIONS" PROGRAMS        (make deb)
# COMPRESSION is what dpkg-deb packs with (xz). PROGRAMS is the directory of the built ones (cargo build --release); "none" builds the extensions only.
set -eu
cd "$(dirname "$0")/.."
out=${1:?usage: package.sh OUT VERSIONS PROGRAMS}
versions=${2:?usage: package.sh OUT VERSIONS PROGRAMS}
programs=${3:?usage: package.sh OUT VERSIONS PROGRAMS}
version=$(sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1)
umask 022
for program in ticker replay trunkline; do
    [ "$programs" = none ] || [ -x "$programs/$program" ] || {
        echo "$programs/$program is missing: cargo build --release, or PROGRAMS=none for the extensions only" >&2
        exit 2
    }
done
mkdir -p "$out"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# Puts what every package has beside its files, and packs.
pack() { # package, architecture; the control file's further lines on standard input
    root=$tree/$1
    mkdir -p "$root/DEBIAN" "$root/usr/share/doc/$1"
    cp LICENSE "$root/usr/share/doc/$1/copyright"
    gzip -9n < CHANGELOG.md > "$root/usr/share/doc/$1/changelog.gz"
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$1" "$version" "$2"
        printf 'Maintainer: The Trunkline authors <trunkline@localhost>\nPriority: optional\nSection: database\n'
        printf 'Installed-Size: %s\n' "$(du -sk "$root/usr" | cut -f1)"
        cat
    } > "$root/DEBIAN/control"
    dpkg-deb --root-owner-group -Z"${COMPRESSION:-xz}" --build "$root" "$out/${1}_${version}_$2.deb" > /dev/null
    echo "$out/${1}_${version}_$2.deb"
}

for server in $versions; do
    package=postgresql-$server-trunkline
    extension=$tree/$package/usr/share/postgresql/$server/extension
    mkdir -p "$extension"
    sh sql/extension.sh "$extension"
    # PgQ's own package has files of the same names.
    pack "$package" all << END
Depends: postgresql-$server
Conflicts: postgresql-$server-pgq3
Replaces: postgresql-$server-pgq3
Suggests: trunkline
Description: event queues and replication by triggers for PostgreSQL $server
 The extensions pgq, pgq_coop, pgq_ext and trunkline, in SQL and PL/pgSQL: the
 queue with the SQL interface of PgQ 3.5, and logical replication over it.
 CREATE EXTENSION does what the programs' install command does over a
 connection.
END
done

[ "$programs" = none ] && exit 0
root=$tree/trunkline
mkdir -p "$root/usr/bin" "$root/lib/systemd/system" "$root/etc/trunkline" "$root/usr/share/man/man1" \
    "$root/usr/share/bash-completion/completions" "$root/usr/share/doc/trunkline/examples"
for program in ticker replay trunkline; do
    strip -o "$root/usr/bin/$program" "$programs/$program"
done
chmod 755 "$root"/usr/bin/*
cp etc/systemd/*.service "$root/lib/systemd/system/"
# Samples, and no configuration: what they name is not this machine's.
cp -r etc/ticker.toml etc/replay.toml etc/watch-sync.sh etc/examples/. "$root/usr/share/doc/trunkline/examples/"
cp README.md sql/FORMAT.md "$root/usr/share/doc/trunkline/"
"$programs/trunkline" man "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
"$programs/trunkline" completions bash > "$root/usr/share/bash-completion/completions/trunkline"
libc=$(objdump -T "$root"/usr/bin/* | sed -n 's/.*(GLIBC_\([0-9.]*\)).*/\1/p' | sort -Vu | tail -n 1)
pack trunkline "$(dpkg --print-architecture)" << END
Depends: libc6 (>= $libc), libgcc-s1
Recommends: postgresql-client
Description: logical replication for PostgreSQL by triggers and a queue
 The programs ticker (beside the provider), replay (beside the subscriber) and
 trunkline (status, health checks, queues and consumers), with systemd units
 and sample configurations. Nothing but SQL is put into a server.
END
