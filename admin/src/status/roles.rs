//! Asks a database what it is in the sets of its queues.

use sql::event_log::{self, Waiting};
use sql::lost::{self, Finding};
use sql::meeting::{self, SetNode};
use sql::operation::{self, Operation};
use sql::role;

use super::verdict::{MemberFacts, OperationFacts, RoleFacts};
use crate::output::seconds;

/// The roles of a database, each with its queue; empty for a plain provider or subscriber.
pub(super) async fn roles(
    client: &tokio_postgres::Client,
) -> Result<Vec<(String, RoleFacts)>, sql::Error> {
    let nodes = meeting::nodes(client).await?;
    let mut told = with_role(client).await?;
    // A node that follows without a role is in the set that it has met.
    for own in nodes.iter().filter(|node| node.is_own) {
        if !told.iter().any(|(queue, _)| *queue == own.queue) {
            told.push((
                own.queue.clone(),
                RoleFacts::without_role(own.role.as_str()),
            ));
        }
    }
    for (queue, facts) in &mut told {
        let of_set = nodes.iter().filter(|node| node.queue == *queue);
        for node in of_set {
            if node.is_own {
                facts.node = Some(node.node.to_string());
                facts.name.clone_from(&node.name);
                facts.follows = node.follows();
            } else {
                facts.members.push(member_facts(node));
            }
        }
    }
    Ok(told)
}

/// The roles that stand in the database, without the nodes of their sets.
async fn with_role(
    client: &tokio_postgres::Client,
) -> Result<Vec<(String, RoleFacts)>, sql::Error> {
    let roles = role::list(client).await?;
    if roles.is_empty() {
        return Ok(Vec::new());
    }
    let problems = role::fence_problems(client).await?;
    let operations = operation::list(client, None).await?;
    let waiting = event_log::waiting(client).await?;
    let lost = lost::findings(client, None).await?;
    let of_queue = |queue: &str| {
        let here = problems.iter().filter(|one| one.queue == queue);
        let told = here.map(|one| match &one.table {
            Some(table) => format!("{table} {}", one.problem),
            None => one.problem.clone(),
        });
        told.collect()
    };
    Ok(roles
        .into_iter()
        .map(|one| {
            let facts = RoleFacts {
                since_seconds: Some(one.seconds),
                term: one.term,
                reason: one.reason,
                set_by: Some(one.set_by),
                final_tick: one.final_tick,
                opening: one.opening,
                problems: of_queue(&one.queue),
                operation: operations
                    .iter()
                    .find(|operation| operation.queue == one.queue && operation.is_running())
                    .map(operation_facts),
                untold: waiting
                    .iter()
                    .find(|waiting| waiting.queue == one.queue)
                    .map(untold),
                lost: lost
                    .iter()
                    .find(|found| found.queue == one.queue && found.own && found.handled.is_none())
                    .map(Finding::describe),
                ..RoleFacts::without_role(one.role.as_str())
            };
            (one.queue, facts)
        })
        .collect())
}

/// The role in the set of one queue, out of those of [`roles`].
pub(super) fn of_queue(roles: &[(String, RoleFacts)], queue: &str) -> Option<RoleFacts> {
    let mut of_queue = roles.iter().filter(|(name, _)| name == queue);
    of_queue.next().map(|(_, facts)| facts.clone())
}

fn member_facts(member: &SetNode) -> MemberFacts {
    MemberFacts {
        node: member.node.to_string(),
        name: member.name.clone(),
        role: member.role.as_str(),
        since_seconds: member.since_seconds,
        term: member.term,
        follows: member.follows(),
        consumer: member.consumer.clone(),
        behind_ticks: member.behind,
        heard_seconds: member.heard_seconds,
        problem: member.problem.clone(),
    }
}

/// `2 events are not told, the oldest (fenced) for 3 min 20 s: exit status: 3`.
fn untold(waiting: &Waiting) -> String {
    format!(
        "{} events are not told, the oldest ({}) for {}: {}",
        waiting.events,
        waiting.event,
        seconds(waiting.seconds),
        waiting.error.as_deref().unwrap_or("it comes next")
    )
}

fn operation_facts(operation: &Operation) -> OperationFacts {
    OperationFacts {
        id: operation.id.0.to_string(),
        kind: operation.kind.as_str(),
        old: operation.old.title(),
        new: operation.new.title(),
        step: operation.step.as_str(),
        started_by: operation.started_by.clone(),
        seconds: operation.seconds,
        quiet_seconds: operation.quiet_seconds,
    }
}
