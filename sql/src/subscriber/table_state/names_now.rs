//! What a table and its columns are called on the provider by now. Filters and lists of columns know columns by the
//! numbers that the provider gave them; on another provider the same columns have other numbers, and the same names.

use std::collections::BTreeMap;

use tokio_postgres::{GenericClient, Row};

use crate::{
    error::Error,
    event::{
        mapping::{Mapping, ProviderColumn},
        shape::Shape,
    },
    name::TableName,
};

/// The names of now, as far as they are needed to find the table's columns, and its subscriber's table, again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamesNow {
    /// The provider's table; none: it has the name that it was added under.
    pub table: Option<TableName>,
    /// The columns of the filter and of the list of columns, by their numbers; those that are missing have the names
    /// that they were added under.
    pub columns: BTreeMap<i16, String>,
}

impl NamesNow {
    /// The names in a row's columns `schema_now`, `name_now` and `column_now`, from `first` on.
    pub(super) fn of(row: &Row, first: usize) -> Result<NamesNow, Error> {
        let failed = || Error::database("read the states of tables");
        let schema: Option<String> = row.try_get(first).map_err(failed())?;
        let name: Option<String> = row.try_get(first + 1).map_err(failed())?;
        let columns: Option<String> = row.try_get(first + 2).map_err(failed())?;
        let columns = columns.as_deref().map(serde_json::from_str).transpose();
        Ok(NamesNow {
            table: schema
                .zip(name)
                .map(|(schema, name)| TableName::new(schema, name)),
            columns: columns
                .map_err(|error| Error::Unexpected(format!("column_now: {error}")))?
                .unwrap_or_default(),
        })
    }

    /// The names after a shape; none if they are the same.
    #[must_use]
    pub fn after(&self, mapping: &Mapping, shape: &Shape) -> Option<NamesNow> {
        let of_filter = mapping.filter.iter().flat_map(|filter| &filter.columns);
        let wanted = mapping.columns.iter().flatten().chain(of_filter);
        let columns = wanted.filter_map(|one| {
            let column = shape.columns.iter().find(|column| one.is(column))?;
            Some((one.attnum, column.name.clone()))
        });
        let mut after = self.clone();
        after.table = Some(shape.table_name());
        after.columns.extend(columns);
        (after != *self).then_some(after)
    }

    /// The name of a column by now.
    pub fn column<'a>(&'a self, column: &'a ProviderColumn) -> &'a str {
        let now = self.columns.get(&column.attnum);
        now.unwrap_or(&column.name)
    }

    /// The names of the columns as they are stored; none if no column is known by another name than it was added under.
    pub(crate) fn columns_json(&self) -> Option<String> {
        // A map of numbers and texts is always JSON.
        (!self.columns.is_empty()).then(|| serde_json::to_string(&self.columns).unwrap_or_default())
    }
}

/// Stores the names of now of the table with this oid on the provider.
pub async fn note_names(
    client: &impl GenericClient,
    consumer: &str,
    provider_oid: u32,
    now: &NamesNow,
) -> Result<(), Error> {
    let table = now.table.as_ref();
    client
        .execute(
            "update trunkline.table_state set schema_now = $3, name_now = $4, column_now = $5::text::jsonb \
             where consumer = $1 and provider_oid = $2",
            &[
                &consumer,
                &provider_oid,
                &table.map(|one| one.schema.as_str()),
                &table.map(|one| one.name.as_str()),
                &now.columns_json(),
            ],
        )
        .await
        .map_err(Error::database("note what a table is called by now"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_columns_that_are_chosen_are_noted_and_a_dropped_one_keeps_its_last_name() {
        let shape = |name: &str, columns: &str| {
            Shape::from_json(&format!(
                r#"{{"shape":1,"table":{{"schema":"s","name":"{name}","oid":1}},"identity":"key","columns":[
                   {{"attnum":1,"name":"id","type":"integer","key":1,"text_equal":true}}{columns}]}}"#
            ))
            .unwrap()
        };
        let column = |attnum, name: &str| ProviderColumn {
            attnum,
            name: name.into(),
        };
        let mapping = Mapping {
            columns: Some(vec![column(1, "id"), column(2, "a")]),
            ..Mapping::default()
        };
        let b = r#",{"attnum":2,"name":"b","type":"text","key":null,"text_equal":true},
                    {"attnum":3,"name":"c","type":"text","key":null,"text_equal":true}"#;
        let now = NamesNow::default().after(&mapping, &shape("t", b)).unwrap();
        assert_eq!(now.table, Some(TableName::new("s", "t")));
        assert_eq!(now.column(&column(2, "a")), "b");
        assert_eq!(now.column(&column(3, "x")), "x");
        assert_eq!(now.columns_json().unwrap(), r#"{"1":"id","2":"b"}"#);
        assert_eq!(now.after(&mapping, &shape("t", b)), None);
        let renamed = now.after(&mapping, &shape("u", "")).unwrap();
        assert_eq!(renamed.table, Some(TableName::new("s", "u")));
        assert_eq!(renamed.column(&column(2, "a")), "b");
    }
}
