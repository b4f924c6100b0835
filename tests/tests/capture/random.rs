//! Random tables, triggers, statements and sessions from a seed: after every commit the folded events are the tables.
//!
//! `TRUNKLINE_SEED=n cargo test -p tests --test capture random` replays one seed and prints its statements;
//! `TRUNKLINE_SEEDS=a..b` runs a range of them; `TRUNKLINE_FORM` names one form of capture for all.

mod statement;
mod turns;
mod world;

use std::sync::{Arc, Mutex};

use rand::RngExt;
use tests::{Cluster, choose, full};

use crate::provider::{Provider, server};
use turns::Turns;
use world::World;

/// Rounds of a seed: each is a transaction, or a few at once in sessions of their own.
fn rounds() -> usize {
    if full() { 40 } else { 8 }
}

/// Seeds that run at once, each in a database of its own.
const LANES: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_statements_of_random_sessions_log_what_the_tables_hold() {
    let cluster = Arc::new(
        Cluster::builder(&server())
            .set("deadlock_timeout", "20ms")
            .start(),
    );
    if let Ok(seed) = std::env::var("TRUNKLINE_SEED") {
        let mut lane = Lane::new(&cluster, "p").await;
        return lane.seed(seed.parse().expect("a number"), 40, true).await;
    }
    let seeds = match std::env::var("TRUNKLINE_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").expect("a range a..b");
            (from.parse().expect("a number")..to.parse().expect("a number")).collect()
        }
        Err(_) => choose("seeds", seeds(1000), seeds(50)),
    };
    println!("seeds {seeds:?}");
    let seeds = Arc::new(Mutex::new(seeds.into_iter()));
    let mut lanes = tokio::task::JoinSet::new();
    for number in 0..LANES {
        let (cluster, seeds) = (Arc::clone(&cluster), Arc::clone(&seeds));
        lanes.spawn(async move {
            let mut lane = Lane::new(&cluster, &format!("p{number}")).await;
            loop {
                let seed = seeds.lock().expect("the list of seeds").next();
                let Some(seed) = seed else { return };
                lane.seed(seed, rounds(), false).await;
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        if let Err(error) = lane {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// The first so many seeds, the same in every run, and as many that no run had before.
fn seeds(each: u64) -> Vec<u64> {
    let new = rand::rng().random_range(1_000_000..u64::MAX / 2);
    (1..=each).chain(new..new + each).collect()
}

/// A database with a queue, and the sessions that write.
struct Lane {
    provider: Provider,
    /// The form of capture of all seeds, where `TRUNKLINE_FORM` names one.
    chosen: &'static str,
    turns: Turns,
}

impl Lane {
    async fn new(cluster: &Arc<Cluster>, db: &str) -> Lane {
        let provider = Provider::in_db(cluster, db).await;
        let turns = Turns::new(&provider).await;
        Lane {
            chosen: provider.form,
            provider,
            turns,
        }
    }

    async fn seed(&mut self, seed: u64, rounds: usize, print: bool) {
        let version = self.provider.cluster.version();
        let mut world = World::new(seed, version);
        let setup = world.setup();
        if print {
            println!("{setup}");
        }
        self.provider.run(&setup).await;
        if seed.is_multiple_of(3) {
            self.provider.run(&world.given_away()).await;
        }
        self.provider.check_claims = world.check_claims;
        // Half of the seeds are captured by row triggers, where a table's capture has both forms.
        let forms = match self.chosen {
            "auto" => ["statements", "rows"],
            chosen => [chosen; 2],
        };
        let first = usize::try_from(seed % 2).expect("0 or 1");
        self.provider.form = forms[first];
        self.turns.print = print;
        for (table, identity, columns) in world.captured() {
            self.provider.add_by(&table, identity, columns).await;
        }
        let mut committed = 0;
        for round in 0..rounds {
            // One table in some rounds goes over to the other form.
            if (seed / 2).is_multiple_of(4) && round % 3 == 2 {
                let (table, ..) = &world.captured()[round % world.captured().len()];
                self.provider
                    .choose(table, forms[(first + round) % 2])
                    .await;
            }
            let transactions = world.transactions();
            let order = world.order(&transactions);
            let context = format!("seed {seed}, round {round}");
            committed += self
                .turns
                .take(&mut self.provider, transactions, &order, &context)
                .await;
        }
        assert!(
            committed > 0 || rounds < 40,
            "seed {seed} committed nothing"
        );
        // The next seed's tables are captured alone.
        self.provider
            .run(&format!("drop schema {} cascade", world.schema()))
            .await;
    }
}
