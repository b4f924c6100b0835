//! The acceptance cases of capture, by their ids: each is a function of a provider, a test on PostgreSQL 15 (with
//! `--full` on 10, 13 and 18 too), and one line of the matrix, which runs all of them on 10 and 18 in every run.

mod extensions;
mod statements;
mod transactions;
mod types;
mod wide;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tests::{Cluster, Server, choose};

use crate::provider::{Provider, server};

/// A case: it gets a provider of its own, in a database of its own.
pub(crate) type Case = fn(Provider) -> Pin<Box<dyn Future<Output = ()>>>;

/// Makes a test of each function of the module above, and the list of them for the matrix.
macro_rules! cases {
    ($($case:ident)*) => {
        mod case {
            $(#[tokio::test]
            async fn $case() {
                $crate::cases::on_each_version(|p| Box::pin(super::$case(p))).await;
            })*
        }

        pub(crate) const CASES: &[(&str, $crate::cases::Case)] =
            &[$((stringify!($case), |p| Box::pin($case(p)))),*];
    };
}
pub(crate) use cases;

/// On 15, and in a full run on the others of the matrix.
pub(crate) async fn on_each_version(case: Case) {
    if std::env::var_os("TRUNKLINE_PG").is_some() {
        return case(Provider::on(&server()).await).await;
    }
    case(Provider::on(&Server::debian15()).await).await;
    for version in choose("versions", vec![10, 13, 18], Vec::new()) {
        println!("PostgreSQL {version}");
        case(Provider::on(&Server::version(version)).await).await;
    }
}

/// The matrix: every case, on one cluster a version, in a copy of one database.
async fn all_on(version: u32) {
    let cluster = Arc::new(Cluster::builder(&Server::version(version)).start());
    drop(Provider::in_db(&cluster, "model").await);
    // The sessions end when this task lets others run.
    let left = "select count(*) from pg_stat_activity where datname = 'model'";
    let begin = Instant::now();
    while cluster.psql("postgres", left) != "0" {
        assert!(begin.elapsed() < Duration::from_secs(60), "{left}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lists = [
        types::CASES,
        extensions::CASES,
        wide::CASES,
        statements::CASES,
        transactions::CASES,
        crate::hostile::CASES,
        crate::identity::CASES,
        crate::parts::CASES,
        crate::rewrites::CASES,
        crate::schema_changes::events::CASES,
        crate::schema_changes::fingerprint::CASES,
        crate::schema_changes::owner::CASES,
        crate::strangers::CASES,
    ];
    for (number, (name, case)) in lists.into_iter().flatten().enumerate() {
        let begin = Instant::now();
        let db = format!("c{number}");
        cluster.psql("postgres", &format!("create database {db} template model"));
        case(Provider::of_copy(&cluster, &db).await).await;
        println!("{version}: {name}: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn every_case_holds_on_postgresql_10() {
    all_on(10).await;
}

#[tokio::test]
async fn every_case_holds_on_postgresql_18() {
    all_on(18).await;
}
