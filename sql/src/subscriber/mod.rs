//! The subscriber's tables, schema `trunkline`. Only replay writes them, each in its caller's transaction.

pub mod altering; // what must be known of a table to change its columns, from the catalog
pub mod conflict; // trunkline.conflict, and the counter in table_state
pub mod copy_attempt; // trunkline.copied_range, and what table_state says of a copy's tries
pub mod definition; // what tables, indexes and constraints are like, from the catalog
pub mod foreign_keys; // foreign keys among the subscriber's tables, from the catalog
pub mod hop; // trunkline.position and table_state in a move to another log; trunkline.left_upstream
pub mod kept_ddl; // trunkline.kept_ddl
pub mod merge; // a condition that is tried on a temporary table, and leaves nothing
pub mod partitions; // partitioned tables, and the files of tables, from the catalog
pub mod path; // trunkline.position, the nodes above the subscriber
pub mod position; // trunkline.position; `remove` takes all that belongs to a consumer
pub mod relation;
pub mod repair_key; // what a name stands for, from the catalog
pub mod restore; // trunkline.restore, and the position and table states of a restore
pub mod sequence_state; // trunkline.sequence_state, the sequences, and the version of lists in position
pub mod session_role; // the settings under which replicated tables are written
pub mod skipped_change; // trunkline.skipped_change, and the wish for a try in table_state
pub mod step_back; // trunkline.position and table_state on the way back to an earlier tick; trunkline.repair_key
pub mod table_state; // trunkline.table_state, and the version of lists in position
pub mod target; // what must be known of a table to write it
