//! The queue and capture objects, and typed wrappers around them.
//!
//! The base of every other package: this package knows PostgreSQL, and neither config files nor terminals nor log
//! formats. The comment at a module's line below says what the module may touch; the top of its file says more.

// What everything else uses. Pure: no database, and no files but for `small_file`.
pub mod error; // what can go wrong against a database, and what to do about it
pub mod event; // an event's columns, its rows and their shape, parsed once
pub mod name; // names of tables and sequences
pub mod near; // names that are nearly right
pub mod small_file; // a file that it is told to read

// Connections: `connect` alone opens them.
pub mod connect;

// The SQL objects: made, upgraded and dropped here and nowhere else.
pub mod install; // schemas pgq and trunkline, and the roles, in one transaction; whose our schemas are

// The provider, through functions of its schemas: no table is written from here.
pub mod provider; // schema trunkline: captured tables and sequences, shapes, batches, filters, locks
pub mod queue; // schema pgq: queues, ticks, consumers, holders, maintenance

// The subscriber's tables, schema trunkline: replay's alone, each in its caller's transaction.
pub mod subscriber;

// Both sides.
pub mod base; // what a base of an archive asks of the databases
pub mod beyond; // what a subscriber has applied that the later provider never had
pub mod columns; // the types of a table's columns, from the catalog
pub mod daemon_lock; // the lock that makes a daemon the only one of its kind
pub mod doctor; // what a database says of itself before anything is installed
pub mod event_log; // what has happened to a node, which programs beside it are told
pub mod failover; // nodes are held, and one of them takes the place of a provider that is off
pub mod lost; // what a provider of the past has taken that the later one never had
pub mod meeting; // nodes of a set meet, and what is known of them
pub mod moment; // locks that are asked for in moments, so that nobody queues for long
pub mod object; // an object of any kind by its name, and whether a database has it
pub mod operation; // what moves the provider of a set, and how far it is
pub mod our_sessions; // reads pg_stat_activity and pg_locks
pub mod reigns;
pub mod role; // what a node is in the sets of its queues, and the fence
pub mod script; // scripts of DDL that go through a queue, and where they are recorded
pub mod server; // the server's version
pub mod standing; // reads position, queue and captured tables
pub mod successor; // a standby that is ready to become the provider, and a former provider that joins it
pub mod verify; // what the tables of a set hold, on two nodes

pub use error::{Class, Error, classify};
