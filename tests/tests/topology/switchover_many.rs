//! A set of a thousand tables is switched over.

use serde_json::Value;

use crate::set::{Hosts, NAMES, command, wait_can};

#[test]
#[ignore = "minutes: a thousand tables are added and copied"]
fn a_set_of_a_thousand_tables_is_switched_there_and_back() {
    let tables = "do $$ begin for i in 1..1000 loop \
                      execute format('create table t%s (id int primary key, v text)', i); end loop; end $$";
    let hosts = Hosts::standbys_of(&[15; 2], tables);
    for (old, new) in [(0, 1), (1, 0)] {
        let write = "do $$ begin for i in 1..1000 loop \
                         execute format('insert into t%s select coalesce(max(id), 0) + 1, %L from t%s', i, 'v', i); \
                     end loop; end $$";
        hosts.on(old, write);
        hosts.assert_same_as(old, new);
        wait_can(&hosts, new);
        let args = [
            "switchover",
            "q1",
            "--to",
            NAMES[new],
            "--json",
            "--max-lag",
            "120",
        ];
        let said = command(&hosts, 0).run(&args).ok().stdout;
        let said: Value = serde_json::from_str(&said).unwrap();
        println!(
            "1,000 tables: writes have waited for {} ms",
            said["pause_ms"]
        );
        hosts.on(new, write);
        hosts.assert_same_as(new, old);
    }
}
