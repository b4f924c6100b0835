//! The set on the status page: who is what, since when, and who follows whom. Pure.

use admin::{
    output,
    status::{
        ReplayStatus,
        verdict::{MemberFacts, RoleFacts},
    },
};
use maud::{Markup, html};

/// All nodes that a database of this replay has heard of, itself first; nothing where it is in no set.
pub(super) fn draw(status: &ReplayStatus) -> Markup {
    let Some(own) = status.set() else {
        return html! {};
    };
    html! {
        h2 { "set of queue " (status.queue) }
        @if let Some(operation) = &own.operation {
            p.critical[operation.is_left()] { (operation.describe()) }
        }
        div.wide { table {
            tr {
                th { "node" }
                th { "role" }
                th { "since" }
                th { "term" }
                th { "follows" }
                th { "heard" }
            }
            (row(&Node::of_own(own)))
            @for member in &own.members { (row(&Node::of_member(member))) }
        } }
    }
}

/// What both kinds of nodes have in common.
struct Node<'a> {
    title: &'a str,
    role: &'static str,
    /// Seconds that it has the role.
    since: Option<f64>,
    term: i64,
    follows: Option<&'a str>,
    heard: Heard,
    /// Why no node of the set can be trusted to be the provider.
    problem: Option<&'a str>,
}

/// When a node was heard.
enum Heard {
    /// It is the one that tells.
    Itself,
    /// So many seconds ago, which is no longer than nodes are silent.
    Lately(f64),
    /// So many seconds ago.
    LongAgo(f64),
}

impl Node<'_> {
    fn of_own(own: &RoleFacts) -> Node<'_> {
        Node {
            title: own.title().unwrap_or("-"),
            role: own.role,
            since: own.since_seconds,
            term: own.term,
            follows: own.follows.as_deref(),
            heard: Heard::Itself,
            problem: None,
        }
    }

    fn of_member(member: &MemberFacts) -> Node<'_> {
        Node {
            title: member.title(),
            role: member.role,
            since: member.since_seconds,
            term: member.term,
            follows: member.follows.as_deref(),
            heard: if member.is_silent() {
                Heard::LongAgo(member.heard_seconds)
            } else {
                Heard::Lately(member.heard_seconds)
            },
            problem: member.problem.as_deref(),
        }
    }
}

fn row(node: &Node<'_>) -> Markup {
    html! {
        tr {
            td { (node.title) }
            td.long {
                (node.role)
                @if let Some(problem) = node.problem { " " span.critical { (problem) } }
            }
            td { @if let Some(since) = node.since { (output::seconds(since.max(0.0))) } }
            td { @if node.term > 0 { (node.term) } }
            td { @if let Some(upstream) = node.follows { (upstream) } }
            @match node.heard {
                Heard::Itself => { td { "this node" } }
                Heard::Lately(ago) => { td { (output::seconds(ago)) " ago" } }
                Heard::LongAgo(ago) => { td.warning { (output::seconds(ago)) " ago" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use admin::status::{ProviderStatus, verdict::OperationFacts};

    use super::*;

    #[test]
    fn a_left_operation_a_silent_node_and_a_second_provider_are_seen() {
        let member = |name: &str, heard_seconds, problem: Option<&str>| MemberFacts {
            node: "17".into(),
            name: Some(name.into()),
            role: "provider",
            since_seconds: Some(12.0),
            term: 3,
            follows: None,
            consumer: None,
            behind_ticks: None,
            heard_seconds,
            problem: problem.map(str::to_owned),
        };
        let mut status = ReplayStatus {
            job: "j".into(),
            queue: "q".into(),
            running: true,
            pid: None,
            pid_problem: None,
            provider: ProviderStatus::default(),
            subscribers: Vec::new(),
        };
        assert_eq!(draw(&status).into_string(), "");
        let mut role = RoleFacts {
            name: Some("<castor>".into()),
            term: 3,
            members: vec![
                member("pollux", 3.0, Some("two providers of term 3")),
                member("helen", 90.0, None),
            ],
            ..RoleFacts::without_role("provider")
        };
        role.operation = Some(OperationFacts {
            id: "1".into(),
            kind: "switchover",
            old: "castor".into(),
            new: "pollux".into(),
            step: "catch-up",
            started_by: "postgres".into(),
            seconds: 100.0,
            quiet_seconds: 90.0,
        });
        status.provider.role = Some(role);
        let page = draw(&status).into_string();
        for shown in [
            "<p class=\"critical\">switchover from castor to pollux for 1 min 40 s by postgres, step catch-up, nobody",
            "<td>&lt;castor&gt;</td>",
            "<span class=\"critical\">two providers of term 3</span>",
            "<td>3.00 s ago</td>",
            "<td class=\"warning\">1 min 30 s ago</td>",
        ] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }
}
