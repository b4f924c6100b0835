#!/bin/bash
# Fuzzes the parsers, all side by side or those named, so many seconds each (60). Ends with 1 if one of them fails.
#     bash fuzz/run.sh [SECONDS] [TARGET...]
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(block event shape name conninfo service config)
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
# With --target the flags are not those of build scripts and macros.
RUSTFLAGS="$coverage --cfg fuzzing" cargo build --quiet --release --locked --target "$host"
program=${CARGO_TARGET_DIR:-target}/$host/release/fuzz

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
declare -A running
for target in "${targets[@]}"; do
    mkdir -p "$work/$target" artifacts
    TRUNKLINE_FUZZ=$target PGSERVICEFILE=$work/$target.conf TMPDIR=$work HOME=$work \
        "$program" -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=1024 -close_fd_mask=0 \
        -artifact_prefix="artifacts/$target-" "$work/$target" "seeds/$target" >"$work/$target.log" 2>&1 &
    running[$target]=$!
done
failed=0
for target in "${targets[@]}"; do
    if wait "${running[$target]}"; then
        echo "$target: $(grep -a '^Done' "$work/$target.log")"
    else
        failed=1
        echo "$target failed:" >&2
        tail -n 40 "$work/$target.log" >&2
    fi
done
exit $failed
