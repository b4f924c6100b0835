//! The set of nodes that the hosts of `provider_db` are: which of them is followed, and what they are told.
//!
//! Where the config names several hosts, each is asked once a second what it is. All sessions of the job go to the one
//! that was chosen, and to the list never. So a provider that changes needs no other config and no restart: the daemon
//! begins anew at the other host, where the position is translated (`subscriber::hop`). A node that is the provider
//! itself applies nothing, and goes on meeting the others.

mod choose;
pub(crate) mod first;
pub(crate) mod host;
pub(crate) mod meetings;
mod met;
pub(crate) mod notices;
mod round;
pub(crate) mod way_back;
