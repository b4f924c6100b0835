//! As whom a table is written: its owner, where replay's role is a member of it, so that what
//! the owner has put on the table runs with no more rights than the owner has.

use sql::{name::TableName, provider::quote_literal};
use tokio_postgres::{Client, GenericClient, types::Type};

use super::{Applier, SessionRole};
use crate::trouble::Trouble;

/// Has what was deferred happen now, as the role of now.
pub(super) const FIRE_DEFERRED: &str = "set constraints all immediate";

/// What `trunkline.acting_role` says of a table.
#[derive(Debug)]
pub(crate) struct Acting {
    /// The role to take; none: replay's own.
    acts_as: Option<String>,
    /// The owner, if it is another role and no superuser.
    owner: Option<String>,
    /// What of the owner's would run.
    code: Option<String>,
}

impl Acting {
    /// Asks the subscriber of its table `target`, which the provider's `table` is written to.
    pub(crate) async fn find(
        client: &impl GenericClient,
        table: &TableName,
        target: &TableName,
    ) -> Result<Acting, Trouble> {
        client
            .query_typed_one(
                "select acts_as, owner, code from trunkline.acting_role($1, $2)",
                &[(&target.schema, Type::TEXT), (&target.name, Type::TEXT)],
            )
            .await
            .and_then(|row| {
                Ok(Acting {
                    acts_as: row.try_get(0)?,
                    owner: row.try_get(1)?,
                    code: row.try_get(2)?,
                })
            })
            .map_err(Trouble::at_table(
                table,
                "could not look for its owner on the subscriber",
            ))
    }

    /// Refuses a table whose owner's code would run as replay's role.
    pub(crate) fn refuse_code(&self, table: &TableName) -> Result<(), Trouble> {
        let (None, Some(code)) = (&self.acts_as, &self.code) else {
            return Ok(());
        };
        Err(Trouble::misfit(
            table,
            format!(
                "{code} belongs to {} and would run with the rights of replay's role",
                self.owner.as_deref().unwrap_or("another role")
            ),
            "take that away on the subscriber, make replay's role a member of the owner, or have the \
             table owned by replay's role or a superuser",
        ))
    }

    /// The role to take; none: replay's own.
    pub(crate) fn role(&self) -> Option<&str> {
        self.acts_as.as_deref()
    }

    /// Takes the owner's role in the open transaction, for what writes the table's rows.
    pub(crate) async fn take(&self, client: &Client, table: &TableName) -> Result<(), Trouble> {
        let Some(role) = self.role() else {
            return Ok(());
        };
        client
            .batch_execute(&take_role(role, true))
            .await
            .map_err(Trouble::at_table(
                table,
                "could not take the role of its owner",
            ))
    }

    /// Takes replay's own role again. Deferred triggers fire before: at the commit they would
    /// run as whoever commits.
    pub(crate) async fn give_back(
        &self,
        client: &Client,
        table: &TableName,
    ) -> Result<(), Trouble> {
        if self.role().is_none() {
            return Ok(());
        }
        client
            .batch_execute(FIRE_DEFERRED)
            .await
            .map_err(Trouble::at_table(
                table,
                "could not write it on the subscriber",
            ))?;
        client
            .batch_execute(&take_role("none", true))
            .await
            .map_err(Trouble::database("could not take replay's own role again"))
    }
}

/// The statement that takes a role, for the transaction or the session; `none` is the session's.
pub(crate) fn take_role(role: &str, local: bool) -> String {
    format!(
        "select pg_catalog.set_config('role', {}, {local})",
        quote_literal(role)
    )
}

impl Applier {
    /// Takes a role in the open transaction.
    pub(super) async fn act_as(
        &self,
        role: Option<&str>,
        table: &TableName,
    ) -> Result<(), Trouble> {
        let Some(role) = role else {
            return Ok(());
        };
        self.run_at(
            &take_role(role, true),
            table,
            "could not take the role of its owner",
        )
        .await
    }

    /// Takes replay's own role again. Deferred triggers fire before: at the commit they would
    /// run as replay's own role. (In an ordinary session tables with such are refused.)
    pub(super) async fn act_as_self(
        &self,
        role: Option<&str>,
        table: &TableName,
    ) -> Result<(), Trouble> {
        if role.is_none() {
            return Ok(());
        }
        let take = take_role("none", true);
        let take = match self.session_role {
            SessionRole::Replica => format!("{FIRE_DEFERRED}; {take}"),
            SessionRole::Origin => take,
        };
        self.run_at(&take, table, "could not write it on the subscriber")
            .await
    }
}
