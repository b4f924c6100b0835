//! Schema pgq against PgQ 3.5 itself: the same calls on both, step by step, and the catalogs side by side; its
//! companions pgq_coop and pgq_ext; who may do what; cases of the queue by their id.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod cases;
mod catalog;
mod companions;
mod differences;
mod one;
mod pair;
mod rights;
mod script;

use differences::DIFFERENCES;
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

        #[test]
        fn each_listed_difference_is_shown_by_a_step() {
            let scripts = [$(include_str!(concat!("scripts/", $file))),*].concat();
            for (name, reason) in DIFFERENCES {
                let shown = format!("--! differs {name}\n");
                assert!(scripts.contains(&shown), "{name} ({reason}) is shown by no step");
            }
        }
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
