//! The nodes of a set as each node tells them, and the end of one that is gone for ever.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;
use tests::{Port, Stop, wait_until};

use crate::SOON;
use crate::set::{Hosts, NAMES, TABLE};

/// Has the replay of a node listen, and gives its port.
pub(crate) fn listening(hosts: &Hosts, node: usize) -> Port {
    let port = Port::take();
    let replay = &hosts.replays[node];
    let config = std::fs::read_to_string(&replay.config).unwrap();
    let name = format!("node = \"{}\"", NAMES[node]);
    let line = format!("{name}\nhttp_listen = \"127.0.0.1:{}\"", port.number());
    std::fs::write(&replay.config, config.replace(&name, &line)).unwrap();
    replay.run(&["restart"]).ok();
    wait_until("the port to be there", SOON, || {
        TcpStream::connect(("127.0.0.1", port.number())).is_ok()
    });
    port
}

/// An answer of replay, with its head.
pub(crate) fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The words of the page of replay, without its tags.
fn page(port: u16) -> String {
    let answer = get(port, "/");
    let mut text = String::new();
    let mut is_tag = false;
    for one in answer.chars() {
        match one {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                text.push(' ');
            }
            _ if !is_tag => text.push(one),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `trunkline member list` of a node tells: name, role, term, whom it follows.
fn listed(hosts: &Hosts, node: usize) -> Vec<String> {
    let said = hosts
        .operator(node)
        .run(&["member", "list", "--json"])
        .ok()
        .stdout;
    let said: Vec<Value> = serde_json::from_str(&said).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or("-").to_owned();
    said.iter()
        .map(|one| {
            let own = if one["own"] == true { "own " } else { "" };
            let (name, role) = (text(one, "name"), text(one, "role"));
            let follows = text(one, "follows");
            format!("{own}{name} {role} {} {follows}", one["term"])
        })
        .collect()
}

#[test]
fn each_node_tells_the_set_and_one_that_is_gone_is_removed_from_it_for_all() {
    let hosts = Hosts::running(&[15, 15, 10], TABLE);
    let port = listening(&hosts, 2);
    hosts.on(0, "insert into t values (1, 'a')");
    hosts.assert_same(1);
    hosts.assert_same(2);
    let all = [
        "own castor provider 1 -",
        "helen reader 0 castor",
        "pollux reader 0 castor",
    ];
    wait_until("castor to know the set", SOON, || listed(&hosts, 0) == all);
    let seen = [
        "own helen reader 0 castor",
        "castor provider 1 -",
        "pollux reader 0 castor",
    ];
    wait_until("helen to know the set", SOON, || listed(&hosts, 2) == seen);
    let status = hosts.replays[2].run(&["status"]).ok().stdout;
    assert!(
        status.contains("role of helen: reader, follows castor")
            && status.contains("castor: provider for ")
            && status.contains("pollux: reader, follows castor"),
        "{status}"
    );
    let table = "helen reader castor this node castor provider";
    wait_until("the page to show the set", SOON, || {
        let shown = page(port.number());
        shown.contains("set of queue q1 node role since term follows heard")
            && shown.contains(table)
            && shown.contains("pollux reader castor")
    });

    // Who is there stays.
    let remove = |node: usize, name: &str| hosts.operator(node).run(&["member", "remove", name]);
    remove(0, "pollux")
        .code(3)
        .says(&["pollux was heard ", "stop its server"]);
    remove(0, "castor").code(3).says(&["is this node itself"]);
    remove(0, "polux")
        .code(3)
        .says(&["no node is called polux; did you mean pollux?"]);

    // Pollux is gone for ever, and helen has heard that it was a second provider.
    let logs = hosts.logs(&[0, 2]);
    hosts.replays[1].kill9();
    hosts.tickers[1].kill9();
    hosts.nodes[1].stop(Stop::Immediate);
    hosts.wait_silent(&logs);
    hosts.on(
        0,
        "update trunkline.member set heard_at = now() - interval '3 min' where name = 'pollux'",
    );
    // The youngest word counts.
    hosts.on(
        2,
        "update trunkline.member set role = 'provider', term = 1, heard_at = now() - interval '2 min' \
          where name = 'pollux'",
    );
    hosts.wait_log(2, "two providers of term 1");
    hosts.on(0, "insert into t values (2, 'b')");
    // Another node, which was set up anew, has the consumer of one that is gone.
    hosts.on(
        0,
        "insert into trunkline.member (queue_name, node_id, name, role, term, server_started, heard_at, consumer) \
         values ('q1', 7, 'helen', 'reader', 0, now(), now() - interval '1 day', 'helen')",
    );
    remove(0, "helen")
        .code(3)
        .says(&["several nodes are called helen: ", "by its number"]);
    remove(0, "7")
        .ok()
        .says(&["consumer helen of queue q1 stays: helen ("]);
    let of = |consumer: &str| {
        format!(
            "select count(*) || ' ' || (select count(*) from trunkline.captures('q1') c \
                where c::text like '%{consumer}%') \
               from pgq.get_consumer_info('q1') where consumer_name = '{consumer}'"
        )
    };
    assert_eq!(hosts.on(0, &of("pollux")), "1 1");
    let said = remove(0, "pollux").ok().stdout;
    assert!(
        said.contains("consumer pollux of queue q1 removed")
            && said.contains("pollux is no member of the set of queue q1 any more"),
        "{said}"
    );
    assert_eq!(hosts.on(0, &of("pollux")), "0 0");
    assert_eq!(hosts.on(0, &of("helen")), "1 1");
    hosts.assert_same(2);
    let without = ["own helen reader 0 castor", "castor provider 1 -"];
    wait_until("helen to know of its end", SOON, || {
        listed(&hosts, 2) == without
    });
    assert_eq!(listed(&hosts, 0)[1..], ["helen reader 0 castor"]);

    // Who is heard is a member again.
    hosts.nodes[1].start_again();
    wait_until("pollux to be known again", SOON, || {
        listed(&hosts, 0).len() == 3 && listed(&hosts, 2).len() == 3
    });
    assert_eq!(
        hosts.on(
            0,
            "select count(*) from trunkline.removed_member where node_id <> 7"
        ),
        "0"
    );
}
