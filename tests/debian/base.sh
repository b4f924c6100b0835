# Directories of Debian 12, made by debootstrap; for the scripts beside this one.

# bare_debian DIRECTORY: a machine that has nothing, and this one's name servers. It stands there whole or not at all once
# the caller has moved it to its place.
bare_debian() {
    mkdir -p "$(dirname "$1")"
    rm -rf "$1"
    debootstrap --variant=minbase bookworm "$1" > "$1.log"
    cp /etc/resolv.conf "$1/etc/resolv.conf"
}

# minimal_debian CACHE: makes $base, a machine that has nothing, where CACHE does not have it yet.
minimal_debian() {
    base=$1/debian12-slim
    [ ! -d "$base" ] || return 0
    bare_debian "$base.new"
    mv "$base.new" "$base"
}
