#!/bin/sh
# Writes the extensions pgq, pgq_coop, pgq_ext and trunkline into a directory, from the same files that the programs install:
#   sh sql/extension.sh "$(pg_config --sharedir)/extension"          (or: make extension DIR=...)
# Then CREATE EXTENSION trunkline CASCADE does what `ticker install` and `replay install` do, and CREATE EXTENSION pgq is
# the queue alone. An extension's objects are upgraded by the server (ALTER EXTENSION ... UPDATE, pgq first), from every
# version in sql/released.txt; `install` finds them in order or says so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:?usage: extension.sh DIRECTORY}
version=$(sed -n 's/^version *= *"\(.*\)"/\1/p' "$here/../Cargo.toml" | head -n 1)

extensions='pgq pgq_coop pgq_ext trunkline'

# The version of an extension in a release of Trunkline. Those of PgQ's names never equal one of PgQ's own.
version_of() { # extension, release
    case $1 in
        trunkline) echo "$2" ;;
        *) echo "3.5+trunkline$2" ;;
    esac
}

components_of() { # extension
    case $1 in
        trunkline) echo base provider subscriber member ;;
        *) echo "$1" ;;
    esac
}

# The path of a file that a manifest names: of the component's folder, or FOLDER/FILE.
path_of() { # component, file
    case $2 in
        */*) echo "$2" ;;
        *) echo "$1/$2" ;;
    esac
}

# The files of a component, in install order: all, or those that every upgrade runs.
files_of() { # component, "once each" or "each"
    for_when=$(echo "$2" | sed 's/ /\\|/')
    sed -n "s/^\\($for_when\\) *//p" "$here/$1/manifest.txt"
}

steps() {
    find "$here/upgrade" -name '[0-9]*.sql' -exec basename {} \; | sort
}

last_step() {
    step=$(steps | tail -n 1 | cut -d- -f1 | sed 's/^0*//')
    echo "${step:-0}"
}

show() { # file
    printf '\n-- %s\n' "$1"
    cat "$here/$1"
}

# As sql/src/install/manifest.rs computes it.
digest() { # component
    files_of "$1" 'once each' | while read -r file; do
        printf '%s\0' "$file"
        cat "$here/$(path_of "$1" "$file")"
        printf '\0'
    done | sha256sum | cut -d' ' -f1
}

# Extension trunkline has the table; it notes its own components and what of the others is there. They note themselves if
# they come, or are upgraded, later.
record() { # extension, component
    if [ "$1" = trunkline ]; then
        case $2 in
            base | provider | subscriber | member) there='true' ;;
            *) there="exists (select from pg_catalog.pg_extension where extname = '$2' and extversion = '$(version_of "$2" "$version")')" ;;
        esac
    else
        there="pg_catalog.to_regclass('trunkline.component') is not null"
    fi
    cat <<END
do \$\$
begin
    if $there then
        insert into trunkline.component (name, step, digest, program_version)
        values ('$2', $(last_step), '$(digest "$2")', '$version')
        on conflict (name) do update set step = excluded.step, digest = excluded.digest,
            program_version = excluded.program_version, installed_at = current_timestamp;
    end if;
end
\$\$;
END
}

# trunkline stands on the pgq of its own version, not on an older one nor on PgQ's.
needs_pgq() {
    wanted=$(version_of pgq "$version")
    cat <<END
do \$\$
declare
    v_version text := (select extversion from pg_catalog.pg_extension where extname = 'pgq');
begin
    if v_version <> '$wanted' then
        raise exception 'extension pgq is version %, and must be $wanted', v_version
            using errcode = '55000', hint = 'Try ALTER EXTENSION pgq UPDATE.';
    end if;
end
\$\$;
END
}

# What is made for each queue and table is no member, so that a dump takes it along. An upgrade makes some of it anew, and
# a script may replace members only, and what it makes becomes one: they are members for as long as the script runs.
generated() { # extension, add or drop
    [ "$2" = add ] && not=not || not=
    cat <<END
do \$\$
declare
    v_object record;
begin
    for v_object in
        select * from (
            select p.oid, 'function' as kind, p.oid::regprocedure::text as name, p.proname
              from pg_catalog.pg_proc p where p.pronamespace = '$1'::regnamespace
            union all
            select c.oid, case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass::text, c.relname
              from pg_catalog.pg_class c where c.relnamespace = '$1'::regnamespace and c.relkind in ('r', 'S')
        ) o
         where o.proname ~ '_[0-9]+(_|\$)'
           and $not exists (select from pg_catalog.pg_depend d
                             where d.objid = o.oid and d.deptype = 'e'
                               and d.refobjid = (select e.oid from pg_catalog.pg_extension e where e.extname = '$1'))
    loop
        execute format('alter extension $1 $2 %s %s', v_object.kind, v_object.name);
    end loop;
end
\$\$;
END
}

# Tables and sequences whose rows a dump takes along: all that hold more than an install puts there.
kept() { # extension
    case $1 in
        pgq)
            for table in queue queue_queue_id_seq consumer consumer_co_id_seq tick subscription subscription_sub_id_seq \
                event_template retry_queue batch_id_seq; do
                echo "pgq.$table"
            done
            ;;
        trunkline)
            for table in captured shape captured_sequence position table_state sequence_state conflict \
                conflict_conflict_id_seq; do
                echo "trunkline.$table"
            done
            ;;
        pgq_ext)
            for table in completed_batch completed_event partial_batch completed_tick; do
                echo "pgq_ext.$table"
            done
            ;;
    esac
}

first_line() { # extension, command
    printf '\\echo Use "%s" to load this file. \\quit\n' "$2"
    # Every name in the files is qualified but for those of the system.
    echo 'set local search_path = pg_catalog, pg_temp;'
}

last_lines() { # extension
    for table in $(kept "$1"); do
        echo "select pg_catalog.pg_extension_config_dump('$table', '');"
    done
    for component in $(components_of "$1"); do
        record "$1" "$component"
    done
    [ "$1" = trunkline ] && for extension_of_pgq in $extensions; do
        [ "$extension_of_pgq" = trunkline ] || record "$1" "$extension_of_pgq"
    done
    return 0
}

install_script() { # extension
    first_line "$1" "CREATE EXTENSION $1"
    [ "$1" = trunkline ] && needs_pgq
    for component in $(components_of "$1"); do
        files_of "$component" 'once each' | while read -r file; do show "$(path_of "$component" "$file")"; done
    done
    last_lines "$1"
    [ "$1" = trunkline ] && echo "insert into trunkline.node (node_id, system_identifier, database_oid) select pgq.random_id(), c.system_identifier, d.oid from pg_catalog.pg_control_system() c, pg_catalog.pg_database d where d.datname = pg_catalog.current_database();"
    return 0
}

# From a release whose last upgrade step is known: the later steps, then what every upgrade runs.
upgrade_script() { # extension, last step of the old release
    first_line "$1" "ALTER EXTENSION $1 UPDATE"
    [ "$1" = trunkline ] && needs_pgq
    generated "$1" add
    for component in $(components_of "$1"); do
        steps | while read -r step; do
            number=$(echo "$step" | cut -d- -f1 | sed 's/^0*//')
            [ "$number" -gt "$2" ] || continue
            [ "$(sed -n '1s/^-- component: *//p' "$here/upgrade/$step")" = "$component" ] || continue
            show "upgrade/$step"
        done
        files_of "$component" each | while read -r file; do show "$(path_of "$component" "$file")"; done
    done
    generated "$1" drop
    last_lines "$1"
}

for extension in $extensions; do
    current=$(version_of "$extension" "$version")
    install_script "$extension" > "$target/$extension--$current.sql"
    sed "s/@VERSION@/$current/" "$here/$extension.control" > "$target/$extension.control"
    grep -v '^#' "$here/released.txt" | while read -r release step; do
        [ "$release" = "$version" ] && continue
        upgrade_script "$extension" "$step" > "$target/$extension--$(version_of "$extension" "$release")--$current.sql"
    done
done
