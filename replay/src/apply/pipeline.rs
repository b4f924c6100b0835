//! Small change sets: one prepared statement a row, all sent before the first answer is read. The latency is one round
//! trip, for any number of tables.

use std::{future::Future, pin::Pin, task::Poll};

use futures::poll;
use sql::event::row;
use tokio_postgres::{Client, Error, Statement, types::Type};

use super::{table::Target, text_value::TextValue};
use crate::{fold::ChangeSet, trouble::Trouble};

/// The prepared statements of one target.
#[derive(Clone)]
pub(super) struct TargetStatements {
    insert: Statement,
    update: Statement,
    delete: Statement,
}

impl TargetStatements {
    /// Prepares the statements. None for a table without a key, for an UPDATE that the server would refuse (of a
    /// GENERATED ALWAYS column), and for a table that is written as its owner. None also if a type's name belongs to
    /// another type than when it was looked up, because reading a value of that type may run code.
    pub(super) async fn find(
        client: &Client,
        target: &Target,
    ) -> Result<Option<TargetStatements>, Trouble> {
        if !target.shape.has_key() || !target.can_update() || target.acting.role().is_some() {
            return Ok(None);
        }
        let statements = target.row_statements();
        let (insert, update, delete) = futures::try_join!(
            client.prepare(&statements.insert),
            client.prepare(&statements.update),
            client.prepare(&statements.delete),
        )
        .map_err(Trouble::at_table(
            &target.shape.table_name(),
            "could not prepare its statements",
        ))?;
        let as_looked_up = takes(&insert, target.column_types())
            && takes(&update, target.column_types())
            && takes(&delete, target.key_types());
        Ok(as_looked_up.then_some(TargetStatements {
            insert,
            update,
            delete,
        }))
    }
}

/// Whether a statement's parameters are of these types.
fn takes(statement: &Statement, types: impl Iterator<Item = u32>) -> bool {
    statement.params().iter().map(Type::oid).eq(types)
}

type Execution<'a> = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + 'a>>;

/// One statement that is sent.
struct Sent<'a> {
    execution: Execution<'a>,
    /// The number of rows that the statement must touch; none if any number is right.
    expected: Option<u64>,
}

/// Statements that are sent together, in order.
pub(super) struct Pipeline<'a> {
    client: &'a Client,
    sent: Vec<Sent<'a>>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(client: &'a Client) -> Pipeline<'a> {
        Pipeline {
            client,
            sent: Vec::new(),
        }
    }

    /// Adds a set's rows: deletes, updates, inserts. The set has no `puts`.
    pub(super) fn add(&mut self, target: &Target, prepared: &TargetStatements, set: &ChangeSet) {
        let key_fields: Vec<usize> = (0..target.key_fields.len()).collect();
        for (keys, expected) in [(&set.deletes, Some(1)), (&set.gone, None)] {
            for key in keys {
                self.push(&prepared.delete, key, &key_fields, expected);
            }
        }
        for (statement, rows) in [
            (&prepared.update, &set.updates),
            (&prepared.insert, &set.inserts),
        ] {
            for row in rows {
                self.push(statement, row, &target.fields, Some(1));
            }
        }
    }

    /// Adds a statement without a result.
    pub(super) fn say(&mut self, statement: String) {
        let client = self.client;
        self.sent.push(Sent {
            execution: Box::pin(async move { client.batch_execute(&statement).await.map(|()| 0) }),
            expected: None,
        });
    }

    fn push(&mut self, statement: &Statement, row: &[u8], fields: &[usize], expected: Option<u64>) {
        let all: Vec<_> = row::fields(row).collect();
        let values: Vec<TextValue> = fields
            .iter()
            .map(|&field| all.get(field).copied().flatten())
            .map(|field| TextValue(field.map(|field| field.unescape().into_owned())))
            .collect();
        let (client, statement) = (self.client, statement.clone());
        self.sent.push(Sent {
            execution: Box::pin(async move { client.execute_raw(&statement, values).await }),
            expected,
        });
    }

    /// Sends everything, then reads the answers. True if each statement touched as many rows as expected. After an
    /// error the transaction is failed, and further answers are ignored.
    pub(super) async fn run(mut self) -> Result<bool, Error> {
        let mut answers = Vec::with_capacity(self.sent.len());
        for sent in &mut self.sent {
            // The first poll of an execution sends its messages.
            answers.push(match poll!(&mut sent.execution) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            });
        }
        let mut clean = true;
        let mut failed = None;
        for (sent, answer) in self.sent.iter_mut().zip(answers) {
            let touched = match answer {
                Some(answer) => answer,
                None => (&mut sent.execution).await,
            };
            match touched {
                Ok(rows) => clean &= sent.expected.is_none_or(|expected| expected == rows),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(clean),
        }
    }
}
