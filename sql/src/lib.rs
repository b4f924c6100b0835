//! The queue and capture objects, and typed wrappers around them.
//!
//! The base of every other package: it knows PostgreSQL and nothing of config files, terminals or log formats.
//! A module's line below says what it may touch; more is at the top of its file.

// What everything else uses. Pure: no database, and no files but for `small_file`.
pub mod error; // what can go wrong against a database, and what to do about it
pub mod event; // an event's columns, parsed once
pub mod name; // names of tables and sequences
pub mod near; // names that are nearly right
pub mod part; // a partition, and a condition for its rows
pub mod row; // rows inside an event
pub mod shape; // what the columns of a row are
pub mod small_file; // a file that it is told to read

// Connections: `connect` alone opens one, and only the modules of this group may use each other.
pub mod connect; // the network
mod connect_error; // pure: why not, and what to do
mod conninfo; // the service file and the environment
mod keywords; // pure: a table
mod passfile; // the password file
mod pooler; // asks over connections that it is given
mod service; // the service file
mod session; // the settings of the session that it drives
mod settings; // the names of the system's user and home
mod tls; // certificate files
mod verify; // pure: is this the server that was meant
mod verify_v1; // pure: the same for certificates of version 1

// The SQL objects: made, upgraded and dropped here and nowhere else.
mod dump; // drops what came with a dump of another node
pub mod install; // schemas pgq and trunkline, and the roles, in one transaction
pub mod installed; // reads trunkline.component and the catalog: what is there, and how it compares
pub mod manifest; // pure: the SQL files compiled into the program
pub mod ownership; // reads the catalog: whose our schemas are, asked before they are used

// The provider's queue, schema pgq, through its functions: no table is written from here.
pub mod consumer; // subscriptions
pub mod holder; // who keeps the space of queues from being used again
pub mod maintenance; // rotation, retries and vacuum, as the queue asks for them
pub mod queue; // queues and their settings
pub mod tick; // ticks

// The provider's capture, schema trunkline, through its functions: no table is written from here.
pub mod filter; // a table's filter, and temporary tables to try one on
pub mod patience; // the lock of a table, asked for in moments
pub mod provider; // captured tables and sequences, shapes, batches

// The subscriber's tables, schema trunkline: replay's alone, each in its caller's transaction.
pub mod conflict; // trunkline.conflict, and the counter in table_state
pub mod copy_attempt; // trunkline.copied_range, and what table_state says of a copy's tries
pub mod kept_ddl; // trunkline.kept_ddl
pub mod mapping; // pure: rows, columns and target of a table
pub mod position; // trunkline.position; `remove` takes all that belongs to a consumer
pub mod relation; // what a name stands for, from the catalog
pub mod sequence_state; // trunkline.sequence_state, the sequences, and the version of lists in position
pub mod skipped_change; // trunkline.skipped_change, and the wish for a try in table_state
pub mod table_state; // trunkline.table_state, and the version of lists in position

// Both sides, for whoever asks how they stand: reads only.
pub mod our_sessions; // pg_stat_activity and pg_locks
pub mod standing; // position, queue and captured tables

pub use error::{Class, Error, classify};
