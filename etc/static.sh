#!/bin/sh
# Builds the programs with musl, as static files that need nothing of a host: no libc and no library. They are packed
# with their manual pages, completions, units and sample configs.
#   sh etc/static.sh OUT [PROFILE]        (make static)
# PROFILE is cargo's, release without it. Built in target/static, so that it waits for no other build.
set -eu
cd "$(dirname "$0")/.."
out=${1:?usage: static.sh OUT [PROFILE]}
profile=${2:-release}
version=$(sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1)
machine=$(uname -m)
target=$machine-unknown-linux-musl
umask 022
command -v musl-gcc > /dev/null || {
    echo "musl-gcc is missing: apt-get install musl-tools" >&2
    exit 2
}
[ -d "$(rustc --print target-libdir --target "$target")" ] || {
    echo "Rust's library for $target is missing: rustup target add $target" >&2
    exit 2
}

# ring and zstd have parts in C. The linker is gcc: musl-gcc names an interpreter, so that the files would need musl.
export "CC_$(echo "$target" | tr - _)=musl-gcc"
export CARGO_TARGET_DIR=target/static
cargo build --quiet --locked --profile "$profile" --target "$target" -p ticker -p replay -p admin --bins
directory=$profile
[ "$profile" != dev ] || directory=debug
programs=$CARGO_TARGET_DIR/$target/$directory

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
root=$tree/trunkline-$version
mkdir -p "$root/bin" "$root/man/man1" "$root/completions" "$root/systemd" "$root/logrotate" "$root/examples"
for program in ticker replay trunkline; do
    install -m 755 "$programs/$program" "$root/bin/"
    "$root/bin/$program" man "$root/man/man1"
    for shell in bash zsh fish; do
        "$root/bin/$program" completions $shell > "$root/completions/$program.$shell"
    done
done
install -m 644 LICENSE README.md CHANGELOG.md "$root/"
# The programs have their short names here, and stand where an administrator puts things.
for unit in etc/systemd/*.service; do
    sed 's#/usr/bin/trunkline-#/usr/local/bin/#' "$unit" > "$root/systemd/$(basename "$unit")"
done
install -m 644 etc/deb/tmpfiles.conf "$root/systemd/"
install -m 644 etc/logrotate/trunkline "$root/logrotate/"
# The user, the directories and the units, in the manual's words.
sed -n '/^useradd --system/,/^```/p' docs/operate.md | grep -v '^```' > "$root/INSTALL"
grep -q '^systemctl enable' "$root/INSTALL"
install -m 644 etc/ticker.toml etc/replay.toml etc/roles/*.sql "$root/examples/"
mkdir -p "$out"
packed=$out/trunkline-$version-$machine-static.tar.gz
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(stat -c %Y CHANGELOG.md)" \
    -C "$tree" -c "trunkline-$version" | gzip -9n > "$packed"
echo "$packed"
