#!/bin/sh
# Waits until a replay says that all its tables are in sync, then runs a command.
#
#   watch-sync.sh LOGFILE COMMAND [ARGUMENT...]
#   watch-sync.sh /var/log/trunkline/db1-replay.log mail -s "db1 is in sync" dba@example.org </dev/null
#
# The log may not be there yet, and may be rotated (LOGFILE.1) while we wait. A line that was
# written before this script began counts too: start it after `replay add`. The exit code is the
# command's; 2 for a wrong call. Needs only a POSIX shell and grep.
#
# Looking once a second at the whole file (and at the one rotated last) instead of following it
# with tail -f: a tail that follows a name can miss the last lines of a file that was moved away,
# and the very last line is the one that matters here.

if [ $# -lt 2 ]; then
    echo "usage: $0 LOGFILE COMMAND [ARGUMENT...]" >&2
    exit 2
fi
log=$1
shift

# The message itself, text or JSON; not a fact that quotes it.
message='^[^ ]* INFO [^ ]* all tables in sync( |$)|^\{"time":"[^"]*","level":"INFO","job_name":"[^"]*","message":"all tables in sync"[,}]'

# grep -E alone would be stopped by a file that is gone: -s says nothing about it.
until grep -Eqs "$message" "$log.1" "$log"; do
    sleep 1
done
exec "$@"
