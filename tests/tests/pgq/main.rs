//! Schema pgq against PgQ 3.5 itself: the same calls on both, step by step, and the catalogs side by side.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod differences;
mod pair;
mod script;

use pair::Pair;

macro_rules! scripts {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let mut pair = Pair::start().await;
                script::run(&mut pair, $file, include_str!(concat!("scripts/", $file))).await;
            }
        )*
    };
}

scripts! {
    queues_answer_as_in_pgq: "queues.sql",
    consumers_answer_as_in_pgq: "consumers.sql",
    triggers_take_the_arguments_of_pgq: "trigger_arguments.sql",
    triggers_take_the_expressions_of_pgq: "trigger_expressions.sql",
    triggers_of_statements_are_those_of_pgq: "trigger_truncate.sql",
    triggers_write_the_rows_of_pgq: "trigger_rows.sql",
}
