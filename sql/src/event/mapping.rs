//! Which rows and columns of a provider's table a subscriber wants, and in which of the subscriber's tables. The
//! mapping is stored in `trunkline.table_state` when the table is added; to change the mapping, the table is removed
//! and added again. Pure.

use tokio_postgres::Row;

use super::shape::{Column, Shape};
use crate::name::{TableName, quote_ident};

/// What `add` was told beside the table's name. The default is the whole table, under its own name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The table that rows are written to; none: the table with the name that the provider's table has now.
    pub target: Option<TableName>,
    /// The columns that are replicated; none: all.
    pub columns: Option<Vec<ProviderColumn>>,
    /// The rows that are replicated; none: all.
    pub filter: Option<Filter>,
    /// The rows of the subscriber's table that are this job's; none: all.
    pub merge: Option<Merge>,
}

/// A column of the provider's table. The column keeps its number when it is renamed, and the number is never used
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderColumn {
    /// Its number in the table.
    pub attnum: i16,
    /// Its name when the table was added.
    pub name: String,
}

/// A condition on the provider's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The condition in the provider's SQL, with all names qualified. Columns have the names of `columns`.
    pub condition: String,
    /// The columns that the condition reads.
    pub columns: Vec<ProviderColumn>,
}

/// A condition on rows of the subscriber's table that says which of them are one job's, where several jobs write the
/// table. Null counts as false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The condition in the subscriber's SQL, with the columns' names.
    pub condition: String,
    /// The columns that the condition reads.
    pub columns: Vec<String>,
    /// The condition with `"{1}"`, `"{2}"`, ... in place of `columns`.
    pub(crate) form: String,
}

impl Merge {
    /// The condition in parentheses, on other expressions than the columns' names: `value` gives the expression for a
    /// column, by its place in `columns`.
    pub fn on(&self, value: impl Fn(usize) -> String) -> String {
        let mut pieces = self.form.split("\"{");
        let mut sql = format!("({}", pieces.next().unwrap_or_default());
        for piece in pieces {
            // The server refuses a condition that has these letters in it, so each of them begins a place.
            let (place, rest) = piece.split_once("}\"").unwrap_or((piece, ""));
            let place = place.parse::<usize>().ok();
            // No condition has so many columns: what cannot be read is no column, and the server refuses the statement.
            let place = place.and_then(|place| place.checked_sub(1));
            sql.push_str(&value(place.unwrap_or(usize::MAX)));
            sql.push_str(rest);
        }
        sql.push(')');
        sql
    }

    /// The condition on the columns of a table under an alias.
    pub fn of_alias(&self, alias: &str) -> String {
        self.on(|place| {
            let name = self.columns.get(place).map_or("", String::as_str);
            format!("{alias}.{}", quote_ident(name))
        })
    }

    /// What a row holds in its columns from `first` on: merge_filter, merge_form, merge_columns.
    pub(crate) fn of(row: &Row, first: usize) -> Result<Option<Merge>, tokio_postgres::Error> {
        let condition: Option<String> = row.try_get(first)?;
        let form: Option<String> = row.try_get(first + 1)?;
        let columns: Option<Vec<String>> = row.try_get(first + 2)?;
        Ok(condition
            .zip(form)
            .zip(columns)
            .map(|((condition, form), columns)| Merge {
                condition,
                columns,
                form,
            }))
    }
}

impl ProviderColumn {
    /// Whether a shape's column is this column.
    pub fn is(&self, column: &Column) -> bool {
        self.has(column.attnum, &column.name)
    }

    fn has(&self, attnum: Option<i16>, name: &str) -> bool {
        match attnum {
            Some(attnum) => attnum == self.attnum,
            // An older version of capture writes no column numbers.
            None => name == self.name,
        }
    }

    /// Columns from their numbers and names; the two lists have the same order.
    pub fn all(attnums: Vec<i16>, names: Vec<String>) -> Vec<ProviderColumn> {
        attnums
            .into_iter()
            .zip(names)
            .map(|(attnum, name)| ProviderColumn { attnum, name })
            .collect()
    }
}

/// The numbers and the names of columns, as they are stored.
pub(crate) fn stored(columns: &[ProviderColumn]) -> (Vec<i16>, Vec<&str>) {
    columns
        .iter()
        .map(|column| (column.attnum, column.name.as_str()))
        .unzip()
}

impl Mapping {
    /// The subscriber's table for a table that has this name on the provider now.
    pub fn target_of<'a>(&'a self, table: &'a TableName) -> &'a TableName {
        self.target.as_ref().unwrap_or(table)
    }

    /// Whether a column of the provider is replicated.
    pub fn takes(&self, column: &Column) -> bool {
        self.takes_column(column.attnum, &column.name)
    }

    /// The same of a column with this number, where it is known, and name.
    pub fn takes_column(&self, attnum: Option<i16>, name: &str) -> bool {
        let columns = self.columns.as_ref();
        columns.is_none_or(|columns| columns.iter().any(|one| one.has(attnum, name)))
    }

    /// The mapping that a row holds in its columns from `first` on: target_schema, target_name, column_attnums,
    /// column_names, filter, filter_attnums, filter_names; and from `merge` on: merge_filter, merge_form,
    /// merge_columns.
    pub(crate) fn of(
        row: &Row,
        first: usize,
        merge: usize,
    ) -> Result<Mapping, tokio_postgres::Error> {
        let target = match (row.try_get(first)?, row.try_get(first + 1)?) {
            (Some(schema), Some(name)) => {
                let (schema, name): (String, String) = (schema, name);
                Some(TableName::new(schema, name))
            }
            _ => None,
        };
        let columns = |first: usize| -> Result<_, tokio_postgres::Error> {
            let attnums: Option<Vec<i16>> = row.try_get(first)?;
            let names: Option<Vec<String>> = row.try_get(first + 1)?;
            Ok(attnums
                .zip(names)
                .map(|(attnums, names)| ProviderColumn::all(attnums, names)))
        };
        let filter: Option<String> = row.try_get(first + 4)?;
        Ok(Mapping {
            target,
            columns: columns(first + 2)?,
            filter: filter
                .zip(columns(first + 5)?)
                .map(|(condition, columns)| Filter { condition, columns }),
            merge: Merge::of(row, merge)?,
        })
    }
}

impl Filter {
    /// The places of the filter's columns in a shape's rows, in the order of `columns`.
    ///
    /// # Errors
    /// The first column that the shape does not have.
    pub fn fields(&self, shape: &Shape) -> Result<Vec<usize>, &ProviderColumn> {
        self.columns
            .iter()
            .map(|wanted| {
                shape
                    .columns
                    .iter()
                    .position(|column| wanted.is(column))
                    .ok_or(wanted)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(columns: &str) -> Shape {
        Shape::from_json(&format!(
            r#"{{"shape":1,"table":{{"schema":"s","name":"t","oid":1}},"identity":"key","columns":[{columns}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn a_merge_is_asked_of_other_expressions_whatever_its_columns_are_called() {
        let merge = Merge {
            condition: "((a = 'x{'::text) OR (\"B}\" > a))".into(),
            columns: vec!["a".into(), "B}".into()],
            form: "((\"{1}\" = 'x{'::text) OR (\"{2}\" > \"{1}\"))".into(),
        };
        assert_eq!(
            merge.of_alias("t"),
            "(((t.a = 'x{'::text) OR (t.\"B}\" > t.a)))"
        );
        assert_eq!(
            merge.on(|place| format!("${}::\"{{2}}\"", place + 5)),
            "((($5::\"{2}\" = 'x{'::text) OR ($6::\"{2}\" > $5::\"{2}\")))"
        );
    }

    #[test]
    fn a_column_stays_the_same_when_it_is_renamed_and_another_one_of_its_name_is_not_it() {
        let before = shape(
            r#"{"attnum":1,"name":"id","type":"integer","key":1,"text_equal":true},
               {"attnum":2,"name":"a","type":"integer","key":null,"text_equal":true}"#,
        );
        let after = shape(
            r#"{"attnum":1,"name":"id","type":"integer","key":1,"text_equal":true},
               {"attnum":3,"name":"a","type":"integer","key":null,"text_equal":true},
               {"attnum":2,"name":"b","type":"integer","key":null,"text_equal":true}"#,
        );
        let a = ProviderColumn {
            attnum: 2,
            name: "a".into(),
        };
        let filter = Filter {
            condition: "(a > 1)".into(),
            columns: vec![a.clone()],
        };
        assert_eq!(filter.fields(&before).unwrap(), [1]);
        assert_eq!(filter.fields(&after).unwrap(), [2]);
        let mapping = Mapping {
            columns: Some(vec![a]),
            ..Mapping::default()
        };
        let taken = |shape: &Shape| -> Vec<String> {
            let taken = shape.columns.iter().filter(|column| mapping.takes(column));
            taken.map(|column| column.name.clone()).collect()
        };
        assert_eq!(taken(&before), ["a"]);
        assert_eq!(taken(&after), ["b"]);
    }
}
