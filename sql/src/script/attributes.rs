//! The attributes at the top of a script, which say where it is executed: those of Londiste 3. Pure.
//!
//! Lines that begin with `--*--` before the first statement: `--*-- Need-Table: public.a, public.b`. A line that ends
//! with a comma goes on in the next one. Other comments and empty lines between them do not count.

use super::statements::BadScript;
use crate::name::{TableName, columns};

/// What a subscriber's database must have, or must replicate, for a script to be executed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `Local-Table`: the table is replicated there.
    LocalTable(TableName),
    /// `Local-Sequence`: the sequence is carried over there.
    LocalSequence(TableName),
    /// `Local-Destination`: the table is replicated there, and the table that its rows are written to exists.
    LocalDestination(TableName),
    /// `Need-Table`: the table exists, replicated or not.
    NeedTable(TableName),
    /// `Need-Sequence`: the sequence exists.
    NeedSequence(TableName),
    /// `Need-View`: the view exists.
    NeedView(TableName),
    /// `Need-Schema`: the schema exists.
    NeedSchema(String),
    /// `Need-Function`: a function of that name exists; with `name(2)`, one with two arguments.
    NeedFunction(TableName, Option<i16>),
}

impl Attribute {
    /// The table of the provider's that it names as replicated.
    pub fn local_table(&self) -> Option<&TableName> {
        match self {
            Attribute::LocalTable(table) | Attribute::LocalDestination(table) => Some(table),
            Attribute::LocalSequence(_)
            | Attribute::NeedTable(_)
            | Attribute::NeedSequence(_)
            | Attribute::NeedView(_)
            | Attribute::NeedSchema(_)
            | Attribute::NeedFunction(..) => None,
        }
    }
}

/// The attributes of a script.
///
/// # Errors
/// [`BadScript::Attribute`]: an attribute that is not known, or a value that is no name.
pub fn attributes(text: &str) -> Result<Vec<Attribute>, BadScript> {
    let mut found = Vec::new();
    // The key whose values go on in the next line.
    let mut open: Option<&str> = None;
    let mut last = 0;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        let bad = |why: String| BadScript::Attribute {
            line: number + 1,
            why,
        };
        let Some(meta) = line.strip_prefix("--*--") else {
            if line.is_empty() || line.starts_with("--") {
                continue;
            }
            break;
        };
        let meta = meta.trim();
        if meta.is_empty() {
            continue;
        }
        last = number;
        let (key, values) = match open {
            Some(key) => (key, meta),
            None => meta.split_once(':').ok_or_else(|| {
                bad(format!(
                    "{meta:?} is no attribute: --*-- Need-Table: schema.table"
                ))
            })?,
        };
        for value in values
            .split(',')
            .map(str::trim)
            .filter(|value| !value.is_empty())
        {
            found.push(attribute(key.trim(), value).map_err(bad)?);
        }
        open = values.ends_with(',').then_some(key);
    }
    match open {
        Some(key) => Err(BadScript::Attribute {
            line: last + 1,
            why: format!("the values of {} end with a comma", key.trim()),
        }),
        None => Ok(found),
    }
}

fn attribute(key: &str, value: &str) -> Result<Attribute, String> {
    let table = || value.parse::<TableName>().map_err(|bad| bad.to_string());
    Ok(match key.to_ascii_lowercase().as_str() {
        "local-table" => Attribute::LocalTable(table()?),
        "local-sequence" => Attribute::LocalSequence(table()?),
        "local-destination" => Attribute::LocalDestination(table()?),
        "need-table" => Attribute::NeedTable(table()?),
        "need-sequence" => Attribute::NeedSequence(table()?),
        "need-view" => Attribute::NeedView(table()?),
        "need-schema" => Attribute::NeedSchema(schema(value)?),
        "need-function" => function(value)?,
        _ => {
            return Err(format!(
                "{key} is no attribute: they are Local-Table, Local-Sequence, Local-Destination, Need-Table, \
                 Need-Sequence, Need-Function, Need-Schema and Need-View"
            ));
        }
    })
}

fn schema(value: &str) -> Result<String, String> {
    match columns(value).map_err(|bad| bad.to_string())?.as_slice() {
        [schema] => Ok(schema.clone()),
        _ => Err(format!("{value:?} is no schema's name")),
    }
}

fn function(value: &str) -> Result<Attribute, String> {
    let (name, arguments) = match value
        .strip_suffix(')')
        .and_then(|value| value.split_once('('))
    {
        Some((name, number)) => {
            let number = number.trim().parse();
            let number =
                number.map_err(|_| format!("{value:?}: the number of arguments is wanted"))?;
            (name.trim(), Some(number))
        }
        None => (value, None),
    };
    let name = name.parse::<TableName>().map_err(|bad| bad.to_string())?;
    Ok(Attribute::NeedFunction(name, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        TableName::new("public", name)
    }

    #[test]
    fn attributes_are_read_up_to_the_first_statement_and_over_lines_that_go_on() {
        let script = "\n--\n--*-- Local-Table: foo ,\n--\n\n--*-- bar ,\n--*--\n--*-- \"Zoo\"\n\
            --*-- need-function: s.f(2), g\n\
            --*-- Need-Schema: \"S\"\ncreate table x ();\n--*-- Need-Table: later\n";
        assert_eq!(
            attributes(script).unwrap(),
            [
                Attribute::LocalTable(table("foo")),
                Attribute::LocalTable(table("bar")),
                Attribute::LocalTable(table("Zoo")),
                Attribute::NeedFunction(TableName::new("s", "f"), Some(2)),
                Attribute::NeedFunction(table("g"), None),
                Attribute::NeedSchema("S".into()),
            ]
        );
        assert_eq!(attributes("select 1").unwrap(), []);
    }

    #[test]
    fn what_is_no_attribute_is_named_with_its_line() {
        for (script, named) in [
            (
                "--*-- Local-Tabel: a",
                "line 1: Local-Tabel is no attribute",
            ),
            ("\n--*-- a, b", "line 2: \"a, b\" is no attribute"),
            ("--*-- Need-Function: f(x)", "the number of arguments"),
            ("--*-- Need-Table: a b", "is no table name"),
            (
                "--*-- Need-Table: a,\nselect 1",
                "line 1: the values of Need-Table end with a comma",
            ),
        ] {
            let error = attributes(script).unwrap_err().to_string();
            assert!(error.contains(named), "{script}: {error}");
        }
    }
}
