//! What keeps a script from being executed, as its row says it, and what a person can do.

use sql::{
    connect::Session,
    name::TableName,
    queue::tick::{Epoch, TickId},
    script::{
        Script,
        record::{self, OpenScript, Why},
    },
    subscriber::table_state::{self, TableRow},
};

use super::rule::{self, Against};
use crate::{subscriber::shared::Subscription, trouble::Trouble};

/// How the reason of a script begins that is tried again by itself.
pub(super) const LOCKED: &str = "it did not get a lock";

/// A script's name as a word of a shell.
pub(super) fn quoted(id: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "._-/+:@%".contains(one);
    if !id.starts_with('-') && id.chars().all(is_plain) {
        return id.to_owned();
    }
    format!("'{}'", id.replace('\'', "'\\''"))
}

/// What a person can do about a script that failed.
pub(super) fn ways_on(id: &str) -> String {
    let name = quoted(id);
    format!(
        "end the cause, then: replay execute --retry {name}; or, if all of it is done by hand: \
         replay execute --skip {name}"
    )
}

/// All tables of the database that scripts of a queue may touch.
pub(super) struct Standing {
    /// The consumer's own.
    pub(super) own: Vec<TableRow>,
    /// Those of other consumers of the same queue, with where their `ok` tables stand.
    others: Vec<(TickId, TableRow)>,
}

impl Standing {
    pub(super) async fn read(
        session: &Session,
        consumer: &str,
        epoch: Epoch,
    ) -> Result<Standing, Trouble> {
        let own = table_state::list(&**session, consumer).await?;
        let mut others = Vec::new();
        for (other, tick) in record::beside(&**session, consumer, epoch).await? {
            let rows = table_state::list(&**session, &other).await?;
            others.extend(rows.into_iter().map(|row| (tick, row)));
        }
        Ok(Standing { own, others })
    }

    /// The tables that a script touches, and where they stand.
    fn touched<'s>(
        &'s self,
        script: &'s Script,
    ) -> impl Iterator<Item = (&'s TableName, Against)> + 's {
        let own = self.own.iter().map(|row| (None, row));
        let others = self.others.iter().map(|(tick, row)| (Some(*tick), row));
        own.chain(others)
            .filter(|(_, row)| is_touched(script, row))
            .map(|(ok_at, row)| (&row.table, rule::against(&row.stand, ok_at, script)))
    }

    pub(super) fn touches_own(&self, script: &Script) -> bool {
        self.own.iter().any(|row| is_touched(script, row))
    }
}

pub(super) fn is_touched(script: &Script, row: &TableRow) -> bool {
    script.touches(row.provider_oid, &row.table)
}

/// What keeps a script from being executed now. `open` are scripts that came before it and are not over; `asked`: a
/// person wants it at once.
pub(super) fn obstacle(
    sub: &Subscription,
    script: &Script,
    (open, standing): (&[OpenScript], &Standing),
    asked: bool,
) -> Option<Why> {
    let name = quoted(&script.id);
    if !sub.allow_execute {
        return Some(Why {
            error: "allow_execute is false for this subscriber".into(),
            advice: format!(
                "read the script (trunkline.script has it), set allow_execute = true in the config, and run: \
                 replay reload; \
                 or do it by hand, and: replay execute --skip {name}"
            ),
        });
    }
    let shared = |other: &Script| {
        let mut rows = standing.own.iter();
        rows.any(|row| is_touched(other, row) && is_touched(script, row))
    };
    if let Some(other) = open.iter().find(|other| !asked && shared(&other.script)) {
        return Some(Why {
            error: format!(
                "it comes behind script {}, which is not executed here",
                other.script.id
            ),
            advice: format!(
                "see to that one; to execute this one without it: replay execute --retry {name}"
            ),
        });
    }
    let (table, against) = rule::waits_for(standing.touched(script), asked)?;
    let (what, advice) = match against {
        Against::Copying => (
            "is being copied",
            "it is executed when the copy is complete: see replay tables".to_owned(),
        ),
        Against::NoRows | Against::There | Against::Before => (
            "has changes from before it that are not applied here",
            format!(
                "it is executed when the table gets there: see replay tables; to execute it at once: \
                 replay execute --retry {name}"
            ),
        ),
    };
    Some(Why {
        error: format!("table {table} {what}"),
        advice,
    })
}

pub(super) fn is_locked(why: &Why) -> bool {
    why.error.starts_with(LOCKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripts_name_is_one_word_of_a_shell() {
        for (id, word) in [
            ("042-a.sql", "042-a.sql"),
            ("drop w.sql", "'drop w.sql'"),
            ("it's", "'it'\\''s'"),
            ("--all", "'--all'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(quoted(id), word);
        }
    }
}
