#!/bin/bash
# Fuzzes the parsers, all or those named, so many seconds each (60), two at a time. Ends with 1 if one of them fails.
#     bash tests/fuzz/run.sh [SECONDS] [TARGET...]
# TRUNKLINE_FUZZ_PROFILE: which of the programs' profiles to build with, so that what they have built is taken (ci).
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(block event tuple shape name conninfo service config segment frames manifest)
profile=${TRUNKLINE_FUZZ_PROFILE:-ci}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}
RUSTC_WRAPPER=$PWD/instrument.sh cargo build --quiet --locked --profile "$profile"
[ "$profile" != dev ] || profile=debug
program=$CARGO_TARGET_DIR/$profile/fuzz

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

# Whatever stands in seeds/TARGET is tried first: a file that was a failure once is a test from then on.
fuzz() {
    mkdir -p "$work/$1" artifacts
    TRUNKLINE_FUZZ=$1 PGSERVICEFILE=$work/$1.conf TMPDIR=$work HOME=$work \
        "$program" -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=1024 -close_fd_mask=0 \
        -artifact_prefix="artifacts/$1-" "$work/$1" "seeds/$1" >"$work/$1.log" 2>&1
}

failed=0
ended() {
    if wait "$2"; then
        echo "$1: $(grep -a '^Done' "$work/$1.log")"
    else
        failed=1
        echo "$1 failed; what it was given is in tests/fuzz/artifacts, and belongs into tests/fuzz/seeds/$1 once it is mended:" >&2
        tail -n 40 "$work/$1.log" >&2
    fi
}

while [ ${#targets[@]} -gt 0 ]; do
    pair=("${targets[@]:0:2}")
    targets=("${targets[@]:2}")
    pids=()
    for target in "${pair[@]}"; do
        fuzz "$target" &
        pids+=($!)
    done
    for place in "${!pair[@]}"; do
        ended "${pair[$place]}" "${pids[$place]}"
    done
done
exit $failed
