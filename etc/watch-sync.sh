#!/bin/sh
# Waits until a replay says that all its tables are in sync, then runs a command.
#
#   watch-sync.sh [--since TIME] LOGFILE COMMAND [ARGUMENT...]
#   watch-sync.sh /var/log/trunkline/db1-replay.log mail -s "db1 is in sync" dba@example.org </dev/null &
#   replay add --all
#
# Only a line that was written after TIME counts, else after the start of this script: an older one is of tables that
# were there before. So start it before `replay add`, or say when that was (--since, as in the log, 2026-01-31T12:00:00Z).
# The log may not be there yet, and may be rotated (LOGFILE.1) while we wait. The exit code is the
# command's; 2 for a wrong call. Needs only a POSIX shell and awk.
#
# Looking once a second at the whole file (and at the one rotated last) instead of following it
# with tail -f: a tail that follows a name can miss the last lines of a file that was moved away,
# and the very last line is the one that matters here.

since=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
# A date that knows no milliseconds: whole seconds.
case $since in *[!0-9TZ:.-]*) since=$(date -u +%Y-%m-%dT%H:%M:%S.000Z) ;; esac
if [ "${1-}" = --since ] && [ $# -gt 1 ]; then
    since=$2
    shift 2
fi
if [ $# -lt 2 ]; then
    echo "usage: $0 [--since TIME] LOGFILE COMMAND [ARGUMENT...]" >&2
    exit 2
fi
case $since in
    [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*Z) ;;
    *) echo "$0: --since $since: a time is written as in the log, 2026-01-31T12:00:00Z" >&2; exit 2 ;;
esac
log=$1
shift
# Without its Z a time of whole seconds comes before the thousandths of that second.
since=${since%Z}

# The message itself, text or JSON; not a fact that quotes it. Times of one form compare as texts.
until cat "$log.1" "$log" 2> /dev/null | awk -v since="$since" '
    { time = "" }
    /^[^ ]* INFO [^ ]* all tables in sync( |$)/ { time = $1 }
    /^\{"time":"[^"]*","level":"INFO","job_name":"[^"]*","message":"all tables in sync"[,}]/ { split($0, part, "\""); time = part[4] }
    time "" > since "" { found = 1 }
    END { exit !found }
'; do
    sleep 1
done
exec "$@"
