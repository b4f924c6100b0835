//! Capture on real servers: what statements log, folded, must be what the tables hold. Never touches a subscriber.

mod add;
mod nesting;
mod provider;
mod random;
mod schema_changes;
mod sequences;
mod sessions;
mod statements;
mod values;
