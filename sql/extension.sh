#!/bin/sh
# Writes the extensions pgq and trunkline into a directory, from the same files that the programs install:
#   sh sql/extension.sh "$(pg_config --sharedir)/extension"
# Then CREATE EXTENSION trunkline CASCADE does what `ticker install` and `replay install` do. Upgrades of an extension
# are the server's; `install` is for databases where it made the objects itself.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:?usage: extension.sh DIRECTORY}

# The files of a component, in install order.
component() {
    sed -n 's/^\(once\|each\) *//p' "$here/manifest/$1.txt" | while read -r file; do
        printf '\n-- %s\n' "$file"
        cat "$here/$file"
    done
}

# An empty digest says that no program's files were compared.
record() {
    step=$(find "$here/upgrade" -name '[0-9]*.sql' -exec basename {} \; | sort | tail -n 1 | cut -d- -f1 | sed 's/^0*//')
    echo "insert into trunkline.component (name, step, digest, program_version) values ('$1', ${step:-0}, '', 'extension');"
}

{
    printf '%s\n' '\echo Use "CREATE EXTENSION pgq" to load this file. \quit'
    component pgq
    for table in queue consumer tick subscription event_template retry_queue batch_id_seq; do
        echo "select pg_catalog.pg_extension_config_dump('pgq.$table', '');"
    done
} > "$target/pgq--3.5.sql"
{
    printf '%s\n' '\echo Use "CREATE EXTENSION trunkline" to load this file. \quit'
    for name in base provider subscriber; do
        component "$name"
    done
    for name in base pgq provider subscriber; do
        record "$name"
    done
    echo "insert into trunkline.node (node_id) values (pgq.random_id());"
} > "$target/trunkline--0.1.0.sql"
cp "$here/pgq.control" "$here/trunkline.control" "$target/"
