#!/bin/sh
# Builds Debian packages, without root: postgresql-N-trunkline, the extensions for PostgreSQL N, and trunkline, the programs (by
# cargo-deb, from what admin/Cargo.toml says of it).
#   sh etc/package.sh OUT "VERSIONS" PROGRAMS        (make deb)
# COMPRESSION is what dpkg-deb packs with (xz). PROGRAMS is the directory of the built ones (cargo build --release); "none" builds the extensions only.
set -eu
cd "$(dirname "$0")/.."
out=${1:?usage: package.sh OUT VERSIONS PROGRAMS}
versions=${2:?usage: package.sh OUT VERSIONS PROGRAMS}
programs=${3:?usage: package.sh OUT VERSIONS PROGRAMS}
revision=1
version=$(sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1)-$revision
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

maintainer='The Trunkline authors <trunkline@localhost>'

# Puts what every package has into a directory: our changelog, Debian's, and what lintian is told about it.
common() { # package, directory
    gzip -9n < CHANGELOG.md > "$2/changelog.gz"
    printf '%s (%s) unstable; urgency=medium\n\n  * Of this version of Trunkline, see changelog.gz.\n\n -- %s  %s\n' \
        "$1" "$version" "$maintainer" "$(date -R -r CHANGELOG.md)" | gzip -9n > "$2/changelog.Debian.gz"
    cat > "$2/overrides" << END
# The project has no mail address.
$1: bogus-mail-host Maintainer *
$1: bogus-mail-host-in-debian-changelog *
# It is not made for Debian's archive, where a first upload closes the wish for it.
$1: initial-upload-closes-no-bugs *
END
}

# Packs a directory.
pack() { # package, architecture; the control file's further lines on standard input
    root=$tree/$1
    mkdir -p "$root/DEBIAN" "$root/usr/share/doc/$1" "$root/usr/share/lintian/overrides"
    cp LICENSE "$root/usr/share/doc/$1/copyright"
    common "$1" "$root/usr/share/doc/$1"
    mv "$root/usr/share/doc/$1/overrides" "$root/usr/share/lintian/overrides/$1"
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$1" "$version" "$2"
        printf 'Maintainer: %s\nPriority: optional\nSection: database\n' "$maintainer"
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
cargo deb --version > /dev/null 2>&1 || {
    echo "cargo-deb is missing: cargo install --locked cargo-deb" >&2
    exit 2
}
programs=$(cd "$programs" && pwd)

# What is made by the programs themselves, under the names that they have in the package. admin/Cargo.toml names the rest.
made=$programs/package
# One at a time: admin/Cargo.toml names that place.
exec 9> "$programs/package.lock"
flock 9
rm -rf "$made"
mkdir -p "$made/bin" "$made/man" "$made/bash" "$made/zsh" "$made/fish"
for program in ticker replay trunkline; do
    name=trunkline-$program
    [ $program != trunkline ] || name=trunkline
    ln -s "../../../bin/$name" "$made/bin/$program"
    called=$tree/$name
    ln -s "$programs/$program" "$called"
    "$called" man "$made/man"
    "$called" completions bash > "$made/bash/$name"
    "$called" completions zsh > "$made/zsh/_$name"
    "$called" completions fish > "$made/fish/$name.fish"
done

gzip -9n "$made"/man/*
common trunkline "$made"

# cargo-deb looks for the programs in the directory of a profile below the target directory.
profile=$(basename "$programs")
[ "$profile" != debug ] || profile=dev
fast=
[ "${COMPRESSION:-xz}" = xz ] || fast=--fast
CARGO_TARGET_DIR=$(dirname "$programs") cargo deb --quiet --offline --locked --manifest-path admin/Cargo.toml \
    --no-build --profile "$profile" $fast --deb-revision $revision --output "$out"
rm -rf "$made"
