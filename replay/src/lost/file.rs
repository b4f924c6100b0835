//! The two files of a stretch: the changes as a line of JSON each, and as SQL that makes them again by key. They are
//! there whole or not at all, and nobody but the daemon's user may read them.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use sql::{
    lost::Lost,
    name::{TableName, quote_ident, quote_literal},
};
use tempfile::NamedTempFile;

use super::change::{Deed, Told};
use crate::trouble::Trouble;

const ADVICE: &str = "see lost_dir: nothing of the table is touched until its changes are kept";

/// Both files, which have no name yet.
pub(super) struct Files {
    json: BufWriter<NamedTempFile>,
    sql: BufWriter<NamedTempFile>,
    directory: PathBuf,
    /// Their path without the ending.
    path: PathBuf,
}

impl Files {
    /// Begins both files. The directory is made if it is missing, for this user alone.
    ///
    /// # Errors
    /// [`Trouble::Operator`] if that cannot be, or if others may write there.
    pub(super) fn create(directory: &Path, lost: &Lost, queue: &str) -> Result<Files, Trouble> {
        let made = || {
            let mut maker = DirBuilder::new();
            maker.recursive(true).mode(0o700).create(directory)?;
            if fs::metadata(directory)?.mode() & 0o022 != 0 {
                return Err(io::Error::other("others may write there"));
            }
            // Mode 600.
            let new = || NamedTempFile::new_in(directory).map(BufWriter::new);
            let mut sql = new()?;
            head(&mut sql, lost)?;
            Ok(Files {
                json: new()?,
                sql,
                directory: directory.to_owned(),
                path: directory.join(file_name(lost, queue)),
            })
        };
        made().map_err(|error| trouble(directory, error))
    }

    /// The path of both without the ending.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn write(&mut self, told: &Told) -> Result<(), Trouble> {
        let mut written = || {
            serde_json::to_writer(&mut self.json, &told.change)?;
            self.json.write_all(b"\n")?;
            writeln!(self.sql, "{}", statement(told))
        };
        written().map_err(|error| trouble(&self.directory, error))
    }

    /// Gives both files their names, when their bytes are on the disk.
    pub(super) fn close(self) -> Result<(), Trouble> {
        let Files {
            json,
            mut sql,
            directory,
            path,
        } = self;
        let named = |file: BufWriter<NamedTempFile>, ending: &str| {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            let mut name = path.clone().into_os_string();
            name.push(ending);
            file.persist(name).map_err(|error| error.error)?;
            Ok::<_, io::Error>(())
        };
        let closed = || {
            sql.write_all(b"commit;\n")?;
            named(json, ".ndjson")?;
            named(sql, ".sql")?;
            File::open(&directory)?.sync_all()
        };
        closed().map_err(|error: io::Error| trouble(&directory, error))
    }
}

fn trouble(directory: &Path, error: io::Error) -> Trouble {
    Trouble::Operator {
        doing: format!("could not keep lost changes in {}", directory.display()),
        advice: ADVICE.into(),
        source: anyhow::Error::new(error),
    }
}

/// The same name each time that the same stretch is kept. A queue's name may hold what a path may not.
fn file_name(lost: &Lost, queue: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let queue: String = queue
        .chars()
        .map(|letter| if plain(letter) { letter } else { '_' })
        .collect();
    format!("{queue}-term-{}-tick-{}", lost.term, lost.tick_id)
}

fn head(sql: &mut impl io::Write, lost: &Lost) -> io::Result<()> {
    writeln!(
        sql,
        "-- What node {} has taken after tick {} of its log, and the provider of term {} never had.\n\
         -- Nothing runs this by itself: read it, and take out what is not to be done again.\nbegin;",
        lost.node_id, lost.tick_id, lost.term
    )
}

/// A statement that makes the change again, whatever is there; a comment where no statement says it.
fn statement(told: &Told) -> String {
    let change = &told.change;
    let table = TableName::new(change.schema_name.clone(), change.table_name.clone()).quoted();
    let literal = |value: &Option<String>| match value {
        Some(value) => quote_literal(value),
        None => "null".to_owned(),
    };
    let equal = |values: &[(String, Option<String>)]| -> String {
        let each = values.iter().map(|(name, value)| match value {
            Some(value) => format!("{} = {}", quote_ident(name), quote_literal(value)),
            None => format!("{} is null", quote_ident(name)),
        });
        each.collect::<Vec<_>>().join(" and ")
    };
    let names = || -> Vec<String> { told.values.keys().map(|name| quote_ident(name)).collect() };
    let insert = || {
        let values: Vec<String> = told.values.values().map(literal).collect();
        format!(
            "insert into {table} ({}) overriding system value values ({})",
            names().join(", "),
            values.join(", ")
        )
    };
    match told.deed {
        Deed::Put => {
            let key: Vec<String> = told.key.iter().map(|(name, _)| quote_ident(name)).collect();
            // A key that is generated always takes no other value.
            let set: Vec<String> = names()
                .into_iter()
                .filter(|name| !key.contains(name))
                .map(|name| format!("{name} = excluded.{name}"))
                .collect();
            let deed = if set.is_empty() {
                "nothing".to_owned()
            } else {
                format!("update set {}", set.join(", "))
            };
            format!("{} on conflict ({}) do {deed};", insert(), key.join(", "))
        }
        Deed::Add => format!("{};", insert()),
        Deed::Delete => format!("delete from {table} where {};", equal(&told.key)),
        Deed::Take => {
            let values: Vec<_> = told.values.clone().into_iter().collect();
            format!(
                "delete from {table} where ctid = (select ctid from {table} where {} limit 1);",
                equal(&values)
            )
        }
        Deed::Truncate => format!("truncate {table};"),
        Deed::Other => {
            // A line of a comment must not end within a value.
            let what = change.key.as_ref().or(change.row_now.as_ref());
            let what = what.map(ToString::to_string).unwrap_or_default();
            format!(
                "-- {} {} {what}",
                change.change,
                serde_json::Value::String(table)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use sql::lost::LostChange;

    use super::*;

    fn told(deed: Deed, values: &[(&str, Option<&str>)]) -> Told {
        let own =
            |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
        Told {
            change: LostChange {
                number: 1,
                table_oid: 9,
                schema_name: "public".into(),
                table_name: "My t".into(),
                change: "update".into(),
                key_text: None,
                key_columns: None,
                key: None,
                row_now: None,
            },
            deed,
            values: values.iter().map(own).collect(),
            key: values.iter().take(1).map(own).collect(),
        }
    }

    #[test]
    fn a_statement_says_the_state_of_a_row_whatever_its_values_hold() {
        let row = [("id", Some("1")), ("v'", Some("it's \\ \n;")), ("w", None)];
        assert_eq!(
            statement(&told(Deed::Put, &row)),
            "insert into public.\"My t\" (id, \"v'\", w) overriding system value \
             values ('1',  E'it''s \\\\ \n;', null) \
             on conflict (id) do update set \"v'\" = excluded.\"v'\", w = excluded.w;"
        );
        let key_alone = statement(&told(Deed::Put, &row[..1]));
        assert!(
            key_alone.ends_with("on conflict (id) do nothing;"),
            "{key_alone}"
        );
        assert_eq!(
            statement(&told(Deed::Delete, &row[..1])),
            "delete from public.\"My t\" where id = '1';"
        );
        assert!(statement(&told(Deed::Take, &row)).contains("w is null limit 1"));
        assert_eq!(
            statement(&told(Deed::Truncate, &[])),
            "truncate public.\"My t\";"
        );
        assert!(!statement(&told(Deed::Other, &[])).contains('\n'));
    }
}
