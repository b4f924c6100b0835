//! The order in which tables are written if foreign keys are enforced. Rows are deleted first from the tables that
//! refer to others, and inserted first into the tables that are referred to. Pure.

use std::{collections::HashMap, sync::Arc};

use tokio_postgres::error::SqlState;

use super::writable::Writable;
use crate::{fold::ChangeSet, trouble::Trouble};

/// Sets that are written one after the other.
pub(super) type Work = Vec<(ChangeSet, Arc<Writable>)>;

/// A table, and the tables that it refers to.
#[derive(Clone, Copy, Debug)]
struct Node<'a> {
    table: u32,
    refers_to: &'a [u32],
}

/// The tables; those that are referred to come before those that refer to them. Tables in a cycle keep the order that
/// they have.
fn parents_first(nodes: &[Node<'_>]) -> Vec<u32> {
    let mut waiting: Vec<Node<'_>> = Vec::new();
    for node in nodes {
        if !waiting.iter().any(|other| other.table == node.table) {
            waiting.push(*node);
        }
    }
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_free = |node: &Node<'_>| {
            !waiting
                .iter()
                .any(|other| node.refers_to.contains(&other.table))
        };
        let next = waiting.iter().position(is_free).unwrap_or(0);
        ordered.push(waiting.remove(next).table);
    }
    ordered
}

/// Each table's place in the order of [`parents_first`].
fn ranks<'a>(tables: impl IntoIterator<Item = &'a Arc<Writable>>) -> HashMap<u32, usize> {
    let nodes: Vec<Node<'_>> = tables
        .into_iter()
        .map(|one| Node {
            table: one.target.relation,
            refers_to: &one.target.refers_to,
        })
        .collect();
    let ranked = parents_first(&nodes).into_iter().enumerate();
    ranked.map(|(rank, table)| (table, rank)).collect()
}

/// Puts tables in the order in which they can be emptied.
pub(super) fn children_first(tables: &mut [&Arc<Writable>]) {
    let ranks = ranks(tables.iter().copied());
    tables.sort_by_key(|one| std::cmp::Reverse(ranks.get(&one.target.relation).copied()));
}

/// Cuts sets into rounds, each with at most one set of a table, so that a table's sets stay in their order. Each round
/// is cut into rows that are deleted, children first, and rows that are inserted or updated, parents first.
pub(super) fn rounds(sets: &[&ChangeSet], writable: &[Arc<Writable>]) -> Vec<Work> {
    let ranks = ranks(writable);
    let mut seen: HashMap<u32, usize> = HashMap::new();
    let mut rounds: Vec<Vec<(&ChangeSet, &Arc<Writable>)>> = Vec::new();
    for (set, one) in sets.iter().zip(writable).filter(|(set, _)| !set.is_empty()) {
        let turn = seen.entry(one.target.relation).or_default();
        if rounds.len() <= *turn {
            rounds.push(Vec::new());
        }
        rounds[*turn].push((set, one));
        *turn += 1;
    }
    rounds
        .into_iter()
        .map(|mut round| {
            round.sort_by_key(|(_, one)| ranks.get(&one.target.relation).copied());
            let (mut goes, mut comes) = (Vec::new(), Vec::new());
            for (set, one) in round {
                let (going, coming) = set.goes_and_comes();
                goes.push((going, Arc::clone(one)));
                comes.push((coming, Arc::clone(one)));
            }
            goes.reverse();
            goes.append(&mut comes);
            goes.retain(|(set, _)| !set.is_empty());
            goes
        })
        .collect()
}

/// Whether a foreign key has failed, so that another order may succeed.
pub(super) fn is_foreign_key(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Table(_))
        && trouble.sqlstate() == Some(&SqlState::FOREIGN_KEY_VIOLATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(nodes: &[(u32, &[u32])]) -> Vec<u32> {
        let nodes: Vec<Node<'_>> = nodes
            .iter()
            .map(|&(table, refers_to)| Node { table, refers_to })
            .collect();
        parents_first(&nodes)
    }

    #[test]
    fn tables_that_are_referred_to_come_before_those_that_refer() {
        assert_eq!(ordered(&[(3, &[2]), (2, &[1]), (1, &[])]), [1, 2, 3]);
        assert_eq!(ordered(&[(3, &[9]), (3, &[9]), (1, &[3])]), [3, 1]);
    }

    #[test]
    fn a_cycle_is_written_as_it_comes_and_ends() {
        assert_eq!(ordered(&[(1, &[2]), (2, &[1]), (3, &[2])]), [1, 2, 3]);
    }
}
