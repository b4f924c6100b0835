//! The status of a subscriber before anything but the verdict is known of it. Pure.

use std::collections::BTreeMap;

use super::report::SubscriberStatus;
use super::verdict::Verdict;

/// A subscriber of which nothing but the verdict is known.
pub(super) fn unknown(
    name: Option<String>,
    consumer: &str,
    reachable: bool,
    verdict: Verdict,
) -> SubscriberStatus {
    SubscriberStatus {
        role: None,
        name,
        consumer: consumer.to_owned(),
        archive: false,
        reachable,
        epoch: None,
        tick: None,
        follows: None,
        source: None,
        left: Vec::new(),
        lag_seconds: verdict.lag,
        lag_ticks: None,
        pending_events: None,
        batch_rows: None,
        state: verdict.state,
        paused: false,
        conflicts: 0,
        recent_conflicts: 0,
        last_error: None,
        reasons: verdict.reasons,
        tables: BTreeMap::new(),
        table_list: Vec::new(),
        conflict_list: Vec::new(),
    }
}
