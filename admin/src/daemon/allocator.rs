//! The settings of glibc's allocator, which it reads from the environment when a program starts.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// From 4 MiB on a block is given back to the system when it is freed. By itself glibc raises that limit with each such
/// block, up to 32 MiB, and then keeps the blocks for the thread that freed them.
const SETTINGS: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "4194304"),
    // As glibc sets it by itself: twice the other one.
    ("MALLOC_TRIM_THRESHOLD_", "8388608"),
];

/// Begins the program anew, in the same process, with an allocator that keeps no large blocks. It returns in the one
/// that was begun so, and wherever somebody has made these settings already. Call it before anything is locked, and
/// before any thread is started.
pub fn keep_no_large_blocks() {
    let are_made = SETTINGS.iter().any(|(name, _)| env::var_os(name).is_some());
    if cfg!(not(target_env = "gnu")) || are_made {
        return;
    }
    let Ok(program) = env::current_exe() else {
        return;
    };
    let mut arguments = env::args_os();
    let mut command = Command::new(&program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).envs(SETTINGS).exec();
    eprintln!(
        "warning: memory of large rows may be kept: could not run {} anew: {error}",
        program.display()
    );
}
