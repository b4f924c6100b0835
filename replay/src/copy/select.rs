//! How a table's rows are read for its copy: the columns, and the rows that a filter takes. Pure.

use sql::{
    event::{mapping::Filter, shape::Shape},
    name::{TableName, quote_ident},
};

use super::plan::CopyPart;
use crate::{apply::table::Target, table, trouble::Trouble};

/// What is read of each relation of a table.
#[derive(Debug)]
pub(super) struct Selection {
    /// The columns that the subscriber takes, quoted, in the subscriber's order.
    columns: Vec<String>,
    filter: Option<FilterNow>,
}

/// A filter, with the present names of the table's columns.
#[derive(Debug)]
pub(crate) struct FilterNow {
    /// The condition, under the names that it knows.
    pub(crate) condition: String,
    /// The filter's columns, quoted: the present name of each, and the name in the filter.
    pub(crate) names: Vec<(String, String)>,
}

impl FilterNow {
    /// A filter on the rows of a shape.
    pub(crate) fn of(filter: &Filter, shape: &Shape) -> Result<FilterNow, Trouble> {
        let fields = table::filter_fields(filter, shape).map_err(|misfit| {
            Trouble::unfollowable(&shape.table_name(), misfit.why, misfit.advice)
        })?;
        let now = fields.iter().map(|&field| &shape.columns[field].name);
        let known = filter.columns.iter().map(|column| &column.name);
        Ok(FilterNow {
            condition: filter.condition.clone(),
            names: now
                .zip(known)
                .map(|(now, known)| (quote_ident(now), quote_ident(known)))
                .collect(),
        })
    }

    /// A name that begins like this, and that no name of the filter begins with.
    pub(crate) fn free_name(&self, name: &str) -> String {
        let mut free = name.to_owned();
        while self.names.iter().any(|(_, known)| known.starts_with(&free)) {
            free.push('_');
        }
        free
    }
}

/// A query for rows of one relation, to which a part adds its pages.
#[derive(Debug)]
pub(super) struct Select {
    query: String,
    condition: Option<String>,
}

impl Selection {
    /// The columns and rows that a target takes of its provider's table.
    pub(super) fn of(target: &Target, filter: Option<&Filter>) -> Result<Selection, Trouble> {
        let filter = filter.map(|filter| FilterNow::of(filter, &target.shape));
        Ok(Selection {
            columns: target.copied_columns(),
            filter: filter.transpose()?,
        })
    }

    /// The query for the rows of a relation.
    pub(super) fn from(&self, relation: &TableName) -> Select {
        let relation = relation.quoted();
        let Some(filter) = &self.filter else {
            return Select {
                query: format!("select {} from only {relation}", self.columns.join(", ")),
                condition: None,
            };
        };
        // The filter sees its columns under the names that it knows, which may belong to other columns by now. So the
        // columns that are read get names of their own.
        let prefix = filter.free_name("c");
        let names: Vec<String> = (0..self.columns.len())
            .map(|n| format!("{prefix}{n}"))
            .collect();
        let read = self.columns.iter().zip(&names);
        let seen = filter.names.iter().map(|(now, known)| (now, known));
        let inner: Vec<String> = read
            .chain(seen)
            .map(|(column, name)| format!("t.{column} as {name}"))
            .collect();
        Select {
            query: format!(
                "select {} from (select t.ctid, {} from only {relation} t) t",
                names.join(", "),
                inner.join(", ")
            ),
            condition: Some(filter.condition.clone()),
        }
    }
}

impl Select {
    /// The query for all rows.
    pub(super) fn all(&self) -> String {
        self.with(None)
    }

    /// The query for a part's rows.
    pub(super) fn of(&self, part: &CopyPart) -> String {
        self.with(part.condition())
    }

    fn with(&self, pages: Option<String>) -> String {
        let filter = self.condition.as_ref().map(|filter| format!("({filter})"));
        let conditions: Vec<String> = pages.into_iter().chain(filter).collect();
        if conditions.is_empty() {
            return self.query.clone();
        }
        format!("{} where {}", self.query, conditions.join(" and "))
    }
}
