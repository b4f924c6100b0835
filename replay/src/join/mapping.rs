//! `--where`, `--columns`, `--as` and `--merge` of `add`: the wishes for a table, made into a mapping that the provider
//! and the subscriber have checked.

use std::str::FromStr;

use admin::exit::{Exit, Failure};
use sql::{
    connect::Session,
    event::mapping::{Filter, Mapping, ProviderColumn},
    name::{self, BadName, TableName, quote_ident},
    provider::{Candidate, filter},
    subscriber::merge,
};
use tokio_postgres::error::{DbError, SqlState};

/// The option that tells a job's rows of a table from those of other jobs.
const MERGE: &str = "--merge";

/// The options.
#[derive(Debug, clap::Args)]
pub(crate) struct Wishes {
    /// Only rows for which this condition on the provider's columns is true, now and whenever
    /// they change; functions and operators that are not built in are found in the table's
    /// schema and in public
    #[arg(
        long = "where",
        value_name = "EXPR",
        allow_hyphen_values = true,
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    filter: Option<String>,
    /// Only these columns; those of the key must be among them, a column made later is not
    #[arg(long, value_name = "LIST")]
    columns: Option<ColumnList>,
    /// Into a table of another name, which must be there; for one table at a time
    #[arg(long = "as", value_name = "TABLE", conflicts_with_all = ["all", "create"])]
    target: Option<TableName>,
    /// Other jobs write the subscriber's table, too: of its rows only those are this job's for which
    /// this condition on its columns is true. All jobs that write the table must have one
    #[arg(
        long,
        value_name = "EXPR",
        allow_hyphen_values = true,
        conflicts_with = "with_seqs",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    merge: Option<String>,
}

/// Names of columns, as in SQL, with commas between them.
#[derive(Clone, Debug)]
struct ColumnList(Vec<String>);

impl FromStr for ColumnList {
    type Err = BadName;

    fn from_str(text: &str) -> Result<ColumnList, BadName> {
        name::columns(text).map(ColumnList)
    }
}

impl Wishes {
    /// Whether there are no wishes.
    pub(crate) fn are_none(&self) -> bool {
        self.filter.is_none()
            && self.columns.is_none()
            && self.target.is_none()
            && self.merge.is_none()
    }

    /// Whether other jobs write the subscriber's table, too.
    pub(crate) fn is_merge(&self) -> bool {
        self.merge.is_some()
    }

    /// The mapping for one subscriber, which has tried the condition of `--merge`; else why the condition is refused.
    /// A table that the subscriber does not have is left to other checks.
    pub(crate) async fn merged(
        &self,
        subscriber: &Session,
        candidate: &Candidate,
        mapping: &Mapping,
    ) -> Result<Result<Mapping, String>, Failure> {
        let mut mapping = mapping.clone();
        if let Some(condition) = &self.merge {
            let target = mapping.target_of(&candidate.table);
            match merge::check(&**subscriber, target, condition).await {
                Ok(merge) => mapping.merge = Some(merge),
                Err(error) => match error.answer() {
                    Some(answer) if *answer.code() == SqlState::UNDEFINED_TABLE => {}
                    Some(answer) => return Ok(Err(refusal(MERGE, answer))),
                    None => return Err(error.into()),
                },
            }
        }
        Ok(Ok(mapping))
    }

    /// Refuses `--as` for several tables, which cannot go into one table.
    pub(crate) fn check_number(&self, is_one_table: bool) -> Result<(), Failure> {
        if self.target.is_some() && !is_one_table {
            return Err(Failure::message(
                Exit::Usage,
                "--as takes one table, by its name",
            ));
        }
        Ok(())
    }

    /// The mapping for a table with these captured columns; else why the wishes cannot be met.
    pub(crate) async fn of(
        &self,
        provider: &Session,
        candidate: &Candidate,
        captured: &[ProviderColumn],
    ) -> Result<Result<Mapping, String>, Failure> {
        let columns = match self.columns(candidate, captured) {
            Ok(columns) => columns,
            Err(why) => return Ok(Err(why)),
        };
        let filter = match &self.filter {
            None => None,
            Some(condition) => match filter_of(provider, candidate, condition).await? {
                Ok(filter) => Some(filter),
                Err(why) => return Ok(Err(why)),
            },
        };
        let renamed = |target: &&TableName| **target != candidate.table;
        Ok(Ok(Mapping {
            target: self.target.as_ref().filter(renamed).cloned(),
            columns,
            filter,
            merge: None,
        }))
    }

    fn columns(
        &self,
        candidate: &Candidate,
        captured: &[ProviderColumn],
    ) -> Result<Option<Vec<ProviderColumn>>, String> {
        let Some(ColumnList(wanted)) = &self.columns else {
            return Ok(None);
        };
        let unknown = quoted(
            wanted
                .iter()
                .filter(|name| !captured.iter().any(|one| one.name == **name)),
        );
        if !unknown.is_empty() {
            return Err(format!(
                "has no column {unknown} on the provider, or only a generated one"
            ));
        }
        let left_out = quoted(candidate.key.iter().filter(|name| !wanted.contains(name)));
        if !left_out.is_empty() {
            return Err(format!(
                "--columns leaves out {left_out}: its rows are told apart by the columns of the \
                 key ({})",
                quoted(candidate.key.iter())
            ));
        }
        let taken = captured.iter().filter(|one| wanted.contains(&one.name));
        Ok(Some(taken.cloned().collect()))
    }
}

async fn filter_of(
    provider: &Session,
    candidate: &Candidate,
    condition: &str,
) -> Result<Result<Filter, String>, Failure> {
    let table = &candidate.table;
    match filter::check(&**provider, table, candidate.oid, condition).await {
        Ok(filter) => Ok(Ok(filter)),
        Err(error) => match error.answer() {
            Some(answer) => Ok(Err(refusal("--where", answer))),
            None => Err(error.into()),
        },
    }
}

/// Why the server refuses the condition of an option.
fn refusal(option: &str, error: &DbError) -> String {
    let hint = error.hint().or_else(|| {
        let code = error.code();
        if *code == SqlState::INVALID_OBJECT_DEFINITION {
            Some(
                "a row must stay in or out until it is changed: no now(), nothing that depends \
                 on settings such as the time zone",
            )
        } else if [
            SqlState::FEATURE_NOT_SUPPORTED,
            SqlState::GROUPING_ERROR,
            SqlState::WINDOWING_ERROR,
        ]
        .contains(code)
        {
            Some("it is a condition on one row of the table")
        } else if option == MERGE && *code == SqlState::UNDEFINED_COLUMN {
            Some("it sees the ordinary columns of the server's own types")
        } else {
            None
        }
    });
    let refused = format!("its {option} is refused: {}", error.message());
    match hint {
        Some(hint) => format!("{refused} ({hint})"),
        None => refused,
    }
}

/// A mapping in words.
pub(crate) fn describe(mapping: &Mapping) -> String {
    let mut parts = Vec::new();
    if let Some(filter) = &mapping.filter {
        parts.push(format!("where {}", filter.condition));
    }
    if let Some(columns) = &mapping.columns {
        let names = quoted(columns.iter().map(|column| &column.name));
        parts.push(format!("columns {names}"));
    }
    if let Some(target) = &mapping.target {
        parts.push(format!("as {target}"));
    }
    if let Some(merge) = &mapping.merge {
        parts.push(format!("merge {}", merge.condition));
    }
    if parts.is_empty() {
        return "all rows and columns, under its own name".into();
    }
    parts.join(", ")
}

fn quoted<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| quote_ident(name)).collect();
    names.join(", ")
}
