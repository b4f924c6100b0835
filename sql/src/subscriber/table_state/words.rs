//! The words of `trunkline.table_state`'s columns, as they are stored and printed.

use std::{fmt, str::FromStr};

use tokio_postgres::types::{FromSql, Type, accepts};

use crate::subscriber::conflict::OnConflict;

/// The state of a table, as it is stored and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// `-`: registered, its copy has not begun.
    Waiting,
    /// `in-copy`: rows are being copied, nothing is committed.
    InCopy,
    /// `catching-up`: the copy is committed, the table's own events follow.
    CatchingUp,
    /// `wanna-sync`: caught up, the batch loop takes the last step.
    WannaSync,
    /// `ok`: equal to the provider at the consumer's position.
    Ok,
    /// `parked`: the table cannot go on; error and advice say why.
    Parked,
}

impl State {
    /// All states, in the order of a table's life.
    pub const ALL: [State; 6] = [
        State::Waiting,
        State::InCopy,
        State::CatchingUp,
        State::WannaSync,
        State::Ok,
        State::Parked,
    ];

    /// The state's word, as it is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "-",
            State::InCopy => "in-copy",
            State::CatchingUp => "catching-up",
            State::WannaSync => "wanna-sync",
            State::Ok => "ok",
            State::Parked => "parked",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How `add` was told to treat rows that the subscriber's table already holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The copy stops if there are rows.
    Refuse,
    /// The rows are deleted in the copy's transaction.
    Truncate,
    /// The rows are assumed to be the provider's: nothing is copied.
    Trust,
    /// The rows stay; rows with a key of the provider become the provider's.
    Keep,
    /// The rows stay until the copy is complete, and are replaced in its last transaction.
    Swap,
    /// The rows are the provider's but for those of some keys, which are fetched (`trunkline.repair_key`).
    Keys,
}

impl Existing {
    const ALL: [Existing; 6] = [
        Existing::Refuse,
        Existing::Truncate,
        Existing::Trust,
        Existing::Keep,
        Existing::Swap,
        Existing::Keys,
    ];

    /// The word as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Existing::Refuse => "refuse",
            Existing::Truncate => "truncate",
            Existing::Trust => "trust",
            Existing::Keep => "keep",
            Existing::Swap => "swap",
            Existing::Keys => "keys",
        }
    }
}

/// A stored word that no variant of the enum has.
#[derive(Debug, thiserror::Error)]
#[error("`{word}` is no {what}: the row was written by a newer version")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
}

/// Implements reading of an enum from a text column: the word is looked up among the `as_str` of the enum's `ALL`.
macro_rules! stored_word {
    ($type:ty, $what:literal) => {
        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                <$type>::ALL
                    .into_iter()
                    .find(|one| one.as_str() == word)
                    .ok_or_else(|| UnknownWord {
                        what: $what,
                        word: word.to_owned(),
                    })
            }
        }

        impl<'a> FromSql<'a> for $type {
            fn from_sql(
                ty: &Type,
                raw: &'a [u8],
            ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
                Ok(<&str>::from_sql(ty, raw)?.parse()?)
            }

            accepts!(TEXT);
        }
    };
}

impl OnConflict {
    const ALL: [OnConflict; 2] = [OnConflict::Overwrite, OnConflict::Stop];
}

stored_word!(OnConflict, "choice for conflicts");
stored_word!(State, "table state");
stored_word!(Existing, "treatment of existing rows");
