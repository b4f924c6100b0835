//! The trouble that keeps one table from going on.

use sql::name::TableName;

/// Trouble of one table; the subscriber's other tables go on.
#[derive(Debug, thiserror::Error)]
#[error("table {table}: {doing}")]
pub(crate) struct TableTrouble {
    /// The table, by the table's name on the provider.
    table: TableName,
    /// What was being done, as "could not ...".
    doing: String,
    /// What an operator can do about the trouble.
    pub(super) advice: String,
    /// Why it failed.
    #[source]
    pub(super) source: anyhow::Error,
}

impl TableTrouble {
    /// Trouble of a table: what was being done, what an operator can do, and why it failed.
    pub(super) fn new(
        table: &TableName,
        doing: impl Into<String>,
        advice: impl Into<String>,
        source: anyhow::Error,
    ) -> TableTrouble {
        TableTrouble {
            table: table.clone(),
            doing: doing.into(),
            advice: advice.into(),
            source,
        }
    }

    /// The table, by the name under which the trouble was met.
    pub(crate) fn table(&self) -> &TableName {
        &self.table
    }

    /// The same trouble of a table that the job knows by another name: the table was renamed on the provider.
    pub(crate) fn renamed(self, known: &TableName) -> TableTrouble {
        if self.table == *known {
            return self;
        }
        TableTrouble {
            doing: format!("now {} on the provider: {}", self.table, self.doing),
            table: known.clone(),
            ..self
        }
    }

    /// The same trouble with better advice.
    pub(crate) fn advised(self, advice: &str) -> TableTrouble {
        TableTrouble {
            advice: advice.into(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trouble::Trouble;

    fn trouble() -> TableTrouble {
        let (known, why) = (TableName::new("public", "t"), anyhow::anyhow!("why"));
        TableTrouble::new(&known, "could not write it", "act", why)
    }

    #[test]
    fn a_renamed_table_is_named_by_both_of_its_names_and_one_that_kept_its_name_once() {
        let before = TableName::new("public", "before");
        assert_eq!(
            Trouble::from(trouble().renamed(&before)).chain(),
            "table public.before: now public.t on the provider: could not write it: why"
        );
        assert_eq!(
            Trouble::from(trouble().renamed(&TableName::new("public", "t"))).chain(),
            "table public.t: could not write it: why"
        );
    }

    #[test]
    fn what_stops_the_subscriber_says_the_same_as_what_stops_its_table() {
        let stops = trouble().advised("act now").stops_the_subscriber();
        assert!(matches!(stops, Trouble::Operator { .. }));
        assert_eq!(stops.advice(), Some("act now"));
        assert_eq!(stops.chain(), Trouble::from(trouble()).chain());
    }
}
