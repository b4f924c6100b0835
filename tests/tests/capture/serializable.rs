//! SERIALIZABLE writers beside capture: what it reads must not make them fail, or the manual says when it does.

use tokio_postgres::error::SqlState;

use crate::provider::Provider;

/// Sessions that write at once, and how many transactions each commits or loses.
const WRITERS: i32 = 4;
const TRANSACTIONS: i32 = 50;

/// How many of the transactions fail to serialize; each updates rows of its own, by so many statements of so many rows,
/// and a trigger writes a line of the audit table for each row.
async fn failures(p: &Provider, statements: i32, rows: i32) -> i32 {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let client = p.another().await;
        writers.spawn(async move {
            let mut failed = 0;
            for _ in 0..TRANSACTIONS {
                let first = writer * 1000;
                let update = format!(
                    "update main set v = v + 1 where id between {first} and {first} + {rows} - 1;"
                );
                let mut done = client
                    .batch_execute("begin isolation level serializable")
                    .await;
                for _ in 0..statements {
                    done = done.and(client.batch_execute(&update).await);
                }
                // The others have their turn before it commits.
                done = done.and(client.batch_execute("select pg_sleep(0.002)").await);
                if let Err(error) = done.and(client.batch_execute("commit").await) {
                    assert_eq!(
                        error.code(),
                        Some(&SqlState::T_R_SERIALIZATION_FAILURE),
                        "{error:?}"
                    );
                    client.batch_execute("rollback").await.expect("rollback");
                    failed += 1;
                }
            }
            failed
        });
    }
    writers.join_all().await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a9_serializable_writers_whose_triggers_write_lines_fail_no_more_than_uncaptured() {
    let mut p = Provider::start().await;
    p.run(
        "create table main (id int primary key, v int); create table audit (id bigserial primary key, main int, v int);
         create function log_main() returns trigger language plpgsql as $$ begin
            insert into audit (main, v) values (new.id, new.v); return null; end $$;
         create trigger log_main after update on main for each row execute procedure log_main();
         insert into main select i, 0 from generate_series(0, 3999) i; analyze main",
    )
    .await;
    let uncaptured = failures(&p, 3, 1).await;
    let uncaptured_twice = failures(&p, 1, 3).await;
    p.run("delete from main; delete from audit").await;
    p.add("main").await;
    p.add("audit").await;
    p.run("insert into main select i, 0 from generate_series(0, 3999) i; analyze main")
        .await;
    let captured = failures(&p, 3, 1).await;
    let twice = failures(&p, 1, 3).await;
    println!(
        "of {}: uncaptured {uncaptured} and {uncaptured_twice}, captured {captured}, captured with several audit rows a statement {twice}",
        WRITERS * TRANSACTIONS
    );
    assert_eq!(
        (uncaptured, uncaptured_twice, captured, twice),
        (0, 0, 0, 0)
    );
    p.check("audit").await;
}
