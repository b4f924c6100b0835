//! What a package is built with: shell completions and manual pages of a program. They carry the name that the program
//! is called by (`trunkline-ticker` in a Debian package).

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, Subcommand};
use clap_mangen::Man;

use crate::exit::{Exit, Failure};
use crate::{output, own_file};

/// Commands that every program has, and that read no config.
#[derive(Debug, Subcommand)]
pub enum Documents {
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of this program
    Man {
        /// Directory to write into
        dir: PathBuf,
    },
}

impl Documents {
    /// Runs the command for a program's command line.
    ///
    /// Errors: [`Exit::Failed`] if a page cannot be written; a page's file that is not a plain file is not written to.
    pub fn run(&self, program: Command) -> Result<Exit, Failure> {
        let program = called(program, std::env::args_os().next());
        match self {
            Documents::Completions { shell } => {
                let name = program.get_name().to_owned();
                let mut program = program;
                let mut script = Vec::new();
                clap_complete::generate(*shell, &mut program, name, &mut script);
                output::print(&String::from_utf8_lossy(&script))?;
            }
            Documents::Man { dir } => {
                let mut program = program.disable_help_subcommand(true);
                program.build();
                write_pages(&program, dir).with_context(|| {
                    format!("could not write manual pages to {}", dir.display())
                })?;
            }
        }
        Ok(Exit::Done)
    }
}

/// The command line, under the name of the file that was called.
fn called(program: Command, path: Option<OsString>) -> Command {
    let path = path.map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_name);
    match name.and_then(|name| name.to_str()) {
        Some(name) => program.name(name.to_owned()),
        None => program,
    }
}

/// A page for the program, and one for each of its commands.
fn write_pages(command: &Command, dir: &Path) -> io::Result<()> {
    for command in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        write_pages(command, dir)?;
    }
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    let path = dir.join(page.get_filename());
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o644);
    let mut file = own_file::open(&path, &mut options)?;
    own_file::refuse_of_others(&path, &file)?;
    file.set_len(0)?;
    file.write_all(&text)
}
