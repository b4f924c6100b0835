//! A copy that is held half way: one part waits for a row that somebody else has written and not committed.

use tests::{Replication, Session, wait_until};

use crate::SOON;

/// Has t copied again, or for the first time, and waits until all of its parts but the second are in.
pub(crate) fn half_copied(replication: &Replication, command: &[&str]) -> Session {
    let held = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "insert into trunkline.copied_range values ('replay1', 'public', 't', 1)",
    );
    replication.replay.run(command).ok();
    wait_until("the other parts to be in", SOON, || {
        replication.on_subscriber(
            "select (select count(*) from trunkline.copied_range) >= 2 \
                and count(*) = 1 and bool_and(wait_event_type = 'Lock') \
               from pg_stat_activity where application_name like 'trunkline copy-in%' and state <> 'idle'",
        ) == "t"
    });
    held
}
