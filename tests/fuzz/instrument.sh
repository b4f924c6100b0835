#!/bin/sh
# Cargo's RUSTC_WRAPPER for the fuzz targets: the crates of ours get the fuzzer's counters, all others are the same as in the
# programs, so that cargo takes them as they are already built.
rustc=$1
shift
case " $* " in
    *" --crate-name sql "* | *" --crate-name admin "* | *" --crate-name replay "* | *" --crate-name fuzz "*)
        exec "$rustc" "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
        ;;
    *) exec "$rustc" "$@" ;;
esac
