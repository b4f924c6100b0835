#!/bin/sh
# Tells somebody when the health of a replication changes: runs a check again and again, and a command at each change of
# its level. The lag that passes a limit, a table that is parked, a daemon that is gone: whatever `trunkline check` tells.
#
#   watch-check.sh [--every SECONDS] [--twice] 'CHECK' COMMAND [ARGUMENT...]
#   watch-check.sh 'trunkline check replication --warn 60 --crit 600' mail -s 'replication of db1' dba@example.org
#   watch-check.sh 'trunkline check' curl -fsS --max-time 20 -d @- https://example.org/hook
#
# CHECK is a command line that ends as Nagios' plugins do: 0 ok, 1 warning, 2 critical, 3 unknown. COMMAND gets all that it
# printed on standard input, and the level (OK, WARNING, CRITICAL, UNKNOWN) in TRUNKLINE_LEVEL, the one before in
# TRUNKLINE_BEFORE. The first look tells only of what is not ok. --twice: a level counts when two looks in a row have it.
# A COMMAND that fails is told on standard error and run again at the next look. Ends with TERM; 2 for a wrong call.
# Needs only a POSIX shell.

every=30
twice=
while :; do
    case ${1-} in
        --every) every=${2-}; shift 2 || exit 2 ;;
        --twice) twice=1; shift ;;
        *) break ;;
    esac
done
case $every in
    '' | *[!0-9.]*) echo "$0: --every takes a number of seconds" >&2; exit 2 ;;
esac
if [ $# -lt 2 ]; then
    echo "usage: $0 [--every SECONDS] [--twice] 'CHECK' COMMAND [ARGUMENT...]" >&2
    exit 2
fi
check=$1
shift
told=OK
last=
while :; do
    said=$(sh -c "$check" 2>&1)
    case $? in
        0) level=OK ;;
        1) level=WARNING ;;
        2) level=CRITICAL ;;
        *) level=UNKNOWN ;;
    esac
    if [ "$level" != "$told" ] && { [ -z "$twice" ] || [ "$level" = "$last" ]; }; then
        if printf '%s\n' "$said" | TRUNKLINE_LEVEL=$level TRUNKLINE_BEFORE=$told "$@"; then
            told=$level
        else
            echo "$0: $1 has failed, and is run again" >&2
        fi
    fi
    last=$level
    sleep "$every"
done
