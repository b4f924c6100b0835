//! How a comparison ends early.

use crate::trouble::Trouble;

/// Why a comparison ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The table cannot be compared.
    Trouble(Trouble),
    /// Changes in flight have not arrived in time.
    Late(String),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Stop {
        Stop::Trouble(trouble)
    }
}

impl From<sql::Error> for Stop {
    fn from(error: sql::Error) -> Stop {
        Stop::Trouble(error.into())
    }
}
