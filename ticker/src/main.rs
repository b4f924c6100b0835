//! The program `ticker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ticker::cli::main()
}
