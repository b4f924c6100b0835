//! The schemas that were proven over a connection string lately, so that sessions that open at the same time prove
//! once.
//!
//! A proof reads hundreds of rows of the catalog, for which a fresh session has to plan: 25 ms of the server's CPU on
//! PostgreSQL 15. A copy opens dozens of sessions. A proof holds for the life of a session
//! ([`ownership`](crate::install::ownership)), since nobody but the schemas' owners can change them. So it holds as
//! well for another session of the same role in the same database of the same server that finds the same schemas with
//! the same rights on them. After a few seconds it is made anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::{Error, column};
use crate::install::ownership::{self, Schema};

/// How long a proof is believed in other sessions.
const BELIEVED_FOR: Duration = Duration::from_secs(10);

/// What tells a server's start, a database, a role, and the schemas of `$1` with their owners and rights from others.
/// Every name and operator has its schema, because nothing is known of the database yet.
const SEEN: &str = "\
select pg_catalog.concat_ws(' ', pg_catalog.pg_postmaster_start_time(), d.oid, \
        pg_catalog.quote_ident(session_user)::pg_catalog.regrole::pg_catalog.oid, \
        (select pg_catalog.string_agg(pg_catalog.concat_ws(':', n.nspname, n.oid, n.nspowner, n.nspacl), ' ' \
                                      order by n.nspname) \
           from pg_catalog.pg_namespace n \
          where n.nspname operator(pg_catalog.=) any ($1::pg_catalog.text[]::pg_catalog.name[]))) \
  from pg_catalog.pg_database d \
 where d.datname operator(pg_catalog.=) pg_catalog.current_database()";

/// How long a session waits for another one that is proving the same. Then it proves by itself: the other one may hang.
const TURN: Duration = Duration::from_secs(1);

/// The proofs that are believed.
#[derive(Default)]
pub(super) struct Proven {
    at: Mutex<HashMap<String, Instant>>,
    turn: tokio::sync::Mutex<()>,
}

impl Proven {
    /// Proves that the schemas exist and belong to roles that may act as the session's role, unless that was proven a
    /// moment ago. Of sessions that open at the same time one proves, and the others wait for it.
    ///
    /// # Errors
    /// As [`ownership::require`].
    pub(super) async fn require(&self, client: &Client, schemas: &[Schema]) -> Result<(), Error> {
        let names: Vec<&str> = schemas.iter().map(|schema| schema.name()).collect();
        let row = client
            .query_typed_one(SEEN, &[(&names, Type::TEXT_ARRAY)])
            .await
            .map_err(Error::database("ask whose our schemas are"))?;
        let seen: String = column(&row, 0)?;
        if self.is_believed(&seen) {
            return Ok(());
        }
        let _turn = tokio::time::timeout(TURN, self.turn.lock()).await;
        if self.is_believed(&seen) {
            return Ok(());
        }
        ownership::require(client, schemas).await?;
        self.proofs().insert(seen, Instant::now());
        Ok(())
    }

    fn is_believed(&self, seen: &str) -> bool {
        let mut proofs = self.proofs();
        proofs.retain(|_, at| at.elapsed() < BELIEVED_FOR);
        proofs.contains_key(seen)
    }

    fn proofs(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
