//! What the command line of `add` says.

use sql::{
    provider::{FormChoice, WantedIdentity},
    subscriber::{conflict::OnConflict, table_state::Existing},
};

use crate::join::{choose::TablePattern, mapping::Wishes};

/// The arguments of `add`.
#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Tables, as schema.table; * and ? match in unquoted names
    #[arg(
        value_name = "TABLE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub(super) tables: Vec<TablePattern>,
    /// All tables that can be replicated
    #[arg(long)]
    pub(super) all: bool,
    /// With --all: only schemas that match
    #[arg(long, value_name = "PATTERN", requires = "all")]
    pub(super) schema: Option<String>,
    /// Not the tables that match
    #[arg(long, value_name = "PATTERN")]
    pub(super) exclude: Option<String>,
    /// The subscriber's rows are the provider's already: copy nothing
    #[arg(long, conflicts_with = "truncate")]
    expect_sync: bool,
    /// Empty the subscriber's table before the copy
    #[arg(long)]
    truncate: bool,
    /// How rows are told apart, where the table has no key or another one is wanted: columns
    /// (a,b) that a unique index makes unique; full: by all columns; insert-only: updates and
    /// deletes are counted and left out
    #[arg(long, value_name = "COLS|full|insert-only", value_parser = identity)]
    identity: Option<WantedIdentity>,
    /// Keep the subscriber's rows; those with the provider's keys become the provider's
    #[arg(long, conflicts_with_all = ["truncate", "expect_sync"])]
    keep_rows: bool,
    /// Make tables that the subscriber lacks as they are on the provider, with their sequences and
    /// the types, functions and extensions that they need (by pg_dump; owned by replay's role,
    /// without triggers and rights)
    #[arg(long)]
    pub(super) create: bool,
    /// Carry the sequences of the tables over, too: those that their columns own or take values from
    #[arg(long)]
    pub(super) with_seqs: bool,
    /// What to do with a row of the subscriber that is not as its change says: the provider's row
    /// wins, or the table stops; job: as the config says. Of a table that is there already it is changed
    #[arg(long, value_name = "overwrite|stop|job")]
    pub(super) on_conflict: Option<ConflictChoice>,
    /// As what the provider's triggers are made: a trigger for each row costs a third less where
    /// transactions write few rows, and many times as much for sets; auto: by what they write. Of a
    /// table that is there already it is changed, for all who follow it
    #[arg(long, value_name = "auto|rows|statements")]
    pub(super) capture: Option<CaptureChoice>,
    #[command(flatten)]
    pub(super) wishes: Wishes,
    /// Into one subscriber only
    #[arg(long, value_name = "NAME")]
    pub(super) subscriber: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Wait until the tables are ok, at most so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "")]
    pub(super) wait: Option<String>,
}

/// What `--on-conflict` takes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum ConflictChoice {
    Overwrite,
    Stop,
    Job,
}

impl ConflictChoice {
    /// The choice as it is stored; none: as the config says.
    pub(super) fn stored(self) -> Option<OnConflict> {
        match self {
            ConflictChoice::Overwrite => Some(OnConflict::Overwrite),
            ConflictChoice::Stop => Some(OnConflict::Stop),
            ConflictChoice::Job => None,
        }
    }
}

/// What `--capture` takes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum CaptureChoice {
    Auto,
    Rows,
    Statements,
}

impl From<CaptureChoice> for FormChoice {
    fn from(choice: CaptureChoice) -> FormChoice {
        match choice {
            CaptureChoice::Auto => FormChoice::Auto,
            CaptureChoice::Rows => FormChoice::Rows,
            CaptureChoice::Statements => FormChoice::Statements,
        }
    }
}

impl AddArgs {
    /// An option that says something of a subscriber's own tables; None: there is none.
    pub(super) fn of_databases(&self) -> Option<&'static str> {
        [
            (self.expect_sync, "--expect-sync"),
            (self.truncate, "--truncate"),
            (self.keep_rows, "--keep-rows"),
            (self.create, "--create"),
            (self.on_conflict.is_some(), "--on-conflict"),
            (
                !self.wishes.are_none(),
                "a mapping (--where, --columns, --as)",
            ),
        ]
        .into_iter()
        .find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// How rows are told apart; by default as the table itself says.
    pub(super) fn wanted_identity(&self) -> WantedIdentity {
        self.identity.clone().unwrap_or(WantedIdentity::Own)
    }

    /// What is done with the rows that the subscriber has already.
    pub(super) fn existing(&self) -> Existing {
        match (self.truncate, self.expect_sync, self.keep_rows) {
            (true, _, _) => Existing::Truncate,
            (false, true, _) => Existing::Trust,
            (false, false, true) => Existing::Keep,
            (false, false, false) => Existing::Refuse,
        }
    }
}

/// Reads `--identity`.
fn identity(text: &str) -> Result<WantedIdentity, String> {
    match text {
        "full" => Ok(WantedIdentity::Full),
        "insert-only" => Ok(WantedIdentity::InsertOnly),
        columns => sql::name::columns(columns)
            .map(WantedIdentity::Columns)
            .map_err(|bad| bad.to_string()),
    }
}
