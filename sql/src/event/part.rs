//! A partition of the provider, and the condition that tells its rows from all other rows, in any table with the same
//! columns. A mark gives the condition as values and names (`sql/FORMAT.md`). Pure.
//!
//! No part of an event becomes SQL, because an event is data. The condition is built here, from columns and types that
//! the reader's own catalog names, and from values that are passed as parameters.

use serde::Deserialize;

/// A partition, and what tells its rows from all other rows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Partition {
    /// The partition's name.
    pub part: PartName,
    /// The partition's bound, as PostgreSQL writes it.
    pub bound: Option<String>,
    /// What each level of partitions asks of the partition's rows; none if that would mean something else on another
    /// server, or if the mark was written by a version that did not give it as values.
    pub within: Option<Vec<Level>>,
}

/// The name of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PartName {
    /// The partition's schema.
    pub schema: String,
    /// The partition's name in the schema.
    pub name: String,
}

/// What one level of partitions asks of a row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Level {
    /// The columns that the level is partitioned by.
    pub columns: Vec<KeyColumn>,
    /// What the columns' values must be.
    #[serde(flatten)]
    pub bound: Bound,
}

/// A column that a table is partitioned by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// Its type, a built-in one, as `format_type` names it.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// The values that a partition takes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    /// One value of a list; none stands for NULL.
    In {
        /// The values' texts.
        r#in: Vec<Option<String>>,
    },
    /// A range: from one row of values up to another, which is not in the range.
    Between {
        /// The lower bound, which is in the range.
        from: Vec<Limit>,
        /// The upper bound, which is not in the range.
        to: Vec<Limit>,
    },
    /// All values that no sibling partition takes: the default partition.
    Outside {
        /// The bounds of the sibling partitions.
        not: Vec<Bound>,
    },
}

/// One value of a range's bound.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Limit {
    /// A value's text.
    Value(String),
    /// MINVALUE or MAXVALUE.
    End {
        /// The side of all values on which the bound lies.
        end: End,
    },
}

/// A side of all values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Below all: MINVALUE.
    Min,
    /// Above all: MAXVALUE.
    Max,
}

/// A column of the reader's table: its name, quoted, and its type, as the reader's own catalog has them.
#[derive(Clone, Copy, Debug)]
pub struct OwnColumn<'a> {
    /// Its name, quoted.
    pub name: &'a str,
    /// Its type, as `format_type` names it.
    pub type_name: &'a str,
}

/// Built-in types whose order and equality depend on a collation. The condition compares such values by bytes. So the
/// writer gives a list only if equal values of the column's collation have the same bytes, and a range only if the
/// collation orders by bytes.
const COLLATABLE: [&str; 3] = ["text", "character varying", "bpchar"];

impl Partition {
    /// The condition on a table `t` that holds for the partition's rows and for no others; none if there is no such
    /// condition.
    ///
    /// `own` finds a column of the table by its name. `place` takes a value and gives the value's placeholder in the
    /// statement, such as `$1`. If the table lacks a column, or the column has another type than on the provider, there
    /// is no condition: the values may compare differently.
    pub fn condition<'a>(
        &self,
        own: impl Fn(&str) -> Option<OwnColumn<'a>>,
        mut place: impl FnMut(&str) -> String,
    ) -> Option<String> {
        let levels = self.within.as_deref().filter(|levels| !levels.is_empty())?;
        let mut conditions = Vec::new();
        for level in levels {
            let mut columns = Vec::new();
            for column in &level.columns {
                let found = own(&column.name)?;
                if found.type_name != column.type_name {
                    return None;
                }
                columns.push(found);
            }
            conditions.push(level.bound.condition(&columns, &mut place)?);
        }
        Some(conditions.join(" and "))
    }
}

impl Bound {
    /// A null condition counts as false: it can be negated with `is not true`.
    fn condition(
        &self,
        columns: &[OwnColumn<'_>],
        place: &mut impl FnMut(&str) -> String,
    ) -> Option<String> {
        match self {
            Bound::In { r#in } => {
                let [column] = columns else { return None };
                let any: Vec<String> = r#in
                    .iter()
                    .map(|value| match value {
                        Some(value) => format!(
                            "{} operator(pg_catalog.=) {}",
                            column.compared(),
                            column.value(&place(value))
                        ),
                        None => format!("t.{} is null", column.name),
                    })
                    .collect();
                Some(or(&any))
            }
            Bound::Between { from, to } => {
                if from.len() != columns.len() || to.len() != columns.len() || columns.is_empty() {
                    return None;
                }
                let mut all: Vec<String> = columns
                    .iter()
                    .map(|column| format!("t.{} is not null", column.name))
                    .collect();
                all.extend(side(columns, from, RangeEnd::From, place));
                all.extend(side(columns, to, RangeEnd::To, place));
                Some(format!("({})", all.join(" and ")))
            }
            Bound::Outside { not } => {
                let others: Vec<String> = not
                    .iter()
                    .map(|bound| bound.condition(columns, place))
                    .collect::<Option<_>>()?;
                Some(format!("({} is not true)", or(&others)))
            }
        }
    }
}

fn or(conditions: &[String]) -> String {
    if conditions.is_empty() {
        "(false)".to_owned()
    } else {
        format!("({})", conditions.join(" or "))
    }
}

/// Which end of a range.
#[derive(Clone, Copy)]
enum RangeEnd {
    From,
    To,
}

/// How a row compares with one end of a range; none if that end is open. Values behind the first MINVALUE or MAXVALUE
/// do not count: MINVALUE or MAXVALUE decides for all rows that are equal so far.
fn side(
    columns: &[OwnColumn<'_>],
    limits: &[Limit],
    side: RangeEnd,
    place: &mut impl FnMut(&str) -> String,
) -> Option<String> {
    let mut compared = Vec::new();
    let mut values = Vec::new();
    let mut end = None;
    for (column, limit) in columns.iter().zip(limits) {
        match limit {
            Limit::Value(value) => {
                compared.push(column.compared());
                values.push(column.value(&place(value)));
            }
            Limit::End { end: side } => {
                end = Some(*side);
                break;
            }
        }
    }
    let operator = match (side, end) {
        (RangeEnd::From, None | Some(End::Min)) => ">=",
        (RangeEnd::From, Some(End::Max)) => ">",
        (RangeEnd::To, None | Some(End::Min)) => "<",
        (RangeEnd::To, Some(End::Max)) => "<=",
    };
    match (compared.as_slice(), side, end) {
        ([], RangeEnd::From, Some(End::Min)) | ([], RangeEnd::To, Some(End::Max)) => None,
        ([], _, _) => Some("false".to_owned()),
        ([one], _, _) => Some(format!(
            "{one} operator(pg_catalog.{operator}) {}",
            values.join("")
        )),
        (several, _, _) => Some(format!(
            "row({}) operator(pg_catalog.{operator}) row({})",
            several.join(", "),
            values.join(", ")
        )),
    }
}

impl OwnColumn<'_> {
    fn is_collatable(&self) -> bool {
        COLLATABLE.contains(&self.type_name)
    }

    fn compared(&self) -> String {
        if self.is_collatable() {
            format!("t.{} collate pg_catalog.\"C\"", self.name)
        } else {
            format!("t.{}", self.name)
        }
    }

    fn value(&self, place: &str) -> String {
        format!("{place}::{}", self.type_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(within: &str) -> Option<(String, Vec<String>)> {
        let part = format!(
            r#"{{"part": {{"schema": "s", "name": "p"}}, "bound": "x", "where": "false; drop table t", "within": {within}}}"#
        );
        let part: Partition = serde_json::from_str(&part).unwrap();
        let own = |name: &str| match name {
            "a" => Some(OwnColumn {
                name: "a",
                type_name: "integer",
            }),
            "B" => Some(OwnColumn {
                name: "\"B\"",
                type_name: "text",
            }),
            _ => None,
        };
        let mut values = Vec::new();
        let condition = part.condition(own, |value| {
            values.push(value.to_owned());
            format!("${}", values.len())
        })?;
        Some((condition, values))
    }

    const A: &str = r#""columns": [{"name": "a", "type": "integer"}]"#;

    #[test]
    fn values_of_a_bound_are_parameters_and_names_are_the_readers_own() {
        let list = format!(r#"[{{{A}, "in": ["1); drop table t; --", null]}}]"#);
        let (sql, values) = condition(&list).unwrap();
        assert_eq!(
            sql,
            "(t.a operator(pg_catalog.=) $1::integer or t.a is null)"
        );
        assert_eq!(values, ["1); drop table t; --"]);

        let range = r#"[{"columns": [{"name": "a", "type": "integer"}, {"name": "B", "type": "text"}],
            "from": ["1", {"end": "max"}], "to": ["5", "x"]}]"#;
        let (sql, values) = condition(range).unwrap();
        assert_eq!(
            sql,
            "(t.a is not null and t.\"B\" is not null and t.a operator(pg_catalog.>) $1::integer \
             and row(t.a, t.\"B\" collate pg_catalog.\"C\") operator(pg_catalog.<) row($2::integer, $3::text))"
        );
        assert_eq!(values, ["1", "5", "x"]);

        let rest = format!(
            r#"[{{{A}, "not": [{{"in": ["1"]}}, {{"from": [{{"end": "min"}}], "to": ["0"]}}]}}]"#
        );
        let (sql, _) = condition(&rest).unwrap();
        assert_eq!(
            sql,
            "(((t.a operator(pg_catalog.=) $1::integer) \
                or (t.a is not null and t.a operator(pg_catalog.<) $2::integer)) is not true)"
        );
    }

    #[test]
    fn what_cannot_be_said_of_the_readers_table_is_no_condition() {
        for within in [
            "null".to_owned(),
            "[]".to_owned(),
            r#"[{"columns": [{"name": "gone", "type": "integer"}], "in": ["1"]}]"#.to_owned(),
            r#"[{"columns": [{"name": "a", "type": "bigint"}], "in": ["1"]}]"#.to_owned(),
            r#"[{"columns": [{"name": "B", "type": "text; drop"}], "in": ["1"]}]"#.to_owned(),
            r#"[{"columns": [], "in": ["1"]}]"#.to_owned(),
            format!(r#"[{{{A}, "from": ["1", "2"], "to": ["1"]}}]"#),
            format!(r#"[{{{A}, "in": ["1"]}}, {{"columns": [], "not": [{{"in": ["1"]}}]}}]"#),
        ] {
            assert_eq!(condition(&within), None, "{within}");
        }
    }
}
