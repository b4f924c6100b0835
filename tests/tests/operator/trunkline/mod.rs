//! The program `trunkline`: status, checks, queues and consumers, with the codes and forms that scripts rely on.

mod capture;
mod check;
mod doctor;
mod page;
mod queue;
mod status;

use std::process::Command;

use tests::Programs;

fn trunkline() -> Command {
    let mut command = Command::new(Programs::get().path("trunkline"));
    for name in [
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGPASSFILE",
        "TRUNKLINE_CONFIG",
    ] {
        command.env_remove(name);
    }
    command
}
