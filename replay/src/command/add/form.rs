//! `add --capture`: as what the provider's triggers of the added tables are made.

use admin::exit::{self, Failure};
use sql::{connect::Session, moment, provider, provider::FormChoice};

use super::side::Tally;
use crate::command::Job;

/// Chooses the form of capture of the tables that were added or are there, and says which one each of them has then.
pub(super) async fn choose(
    job: &Job,
    provider: &Session,
    choice: FormChoice,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut tables = tally.tables.clone();
    tables.sort();
    tables.dedup();
    for table in tables {
        moment::prepare(provider).await?;
        let chosen = moment::with_lock(async || {
            provider::choose_form(&**provider, job.queue(), &table, choice).await
        });
        match chosen.await {
            Ok(Some((form, why))) => job.say(&format!("{table} is captured by {form}: {why}"))?,
            Ok(None) => {
                tally.busy += 1;
                eprintln!(
                    "capture not changed: {table}: others hold locks on it on the provider, try again later"
                );
            }
            Err(error) => {
                tally.refused += 1;
                eprintln!("capture not changed: {table}: {}", exit::one_line(&error));
            }
        }
    }
    Ok(())
}
