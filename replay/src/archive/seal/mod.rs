//! Encryption of an archive, in the format of age: what is packed is sealed to public keys, and opened by identities.
//! Whoever writes has public keys alone, so who takes his host reads nothing that was written before.
//!
//! - `identities`: who opens; `recipients`: to whom is sealed. `without` takes their place in a program that was built
//!   without encryption: it refuses both.

#[cfg(feature = "seal")]
mod identities;
#[cfg(feature = "seal")]
mod recipients;
#[cfg(not(feature = "seal"))]
mod without;

use std::io;

#[cfg(not(feature = "seal"))]
pub(crate) use self::without::{Identities, Opening, Recipients};
#[cfg(feature = "seal")]
pub(crate) use self::{
    identities::{Identities, Opening},
    recipients::Recipients,
};

/// Nothing that is at hand opens what is sealed.
#[derive(Debug, thiserror::Error)]
#[error("it is encrypted to {}, {why}", .to.join(", "))]
pub(crate) struct Closed {
    /// The public keys.
    to: Vec<String>,
    why: &'static str,
}

impl Closed {
    #[cfg(feature = "seal")]
    const NO_IDENTITY: &str = "and no identity is given: --identity FILE, or archive_identity";
    #[cfg(feature = "seal")]
    const NOT_OURS: &str = "and no identity that is given opens it";
    #[cfg(not(feature = "seal"))]
    const WITHOUT: &str = "and this replay was built without encryption \
        (cargo feature seal): the package trunkline has it";

    fn of(to: &[String], why: &'static str) -> io::Error {
        let to = to.to_vec();
        io::Error::new(io::ErrorKind::PermissionDenied, Closed { to, why })
    }
}

/// Whether an error says that nothing that is at hand opens what is sealed.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|why| why.is::<Closed>())
}

#[cfg(test)]
#[cfg(feature = "seal")]
mod tests;
