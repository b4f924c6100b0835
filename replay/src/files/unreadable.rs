//! What cannot be read of an archive's files, as trouble.

use std::io;

use crate::{
    archive::store::{is_config, is_outage},
    frames::{body::BadBody, segment::Name},
    trouble::Trouble,
};

/// An object of the archive is not what was written: nothing behind it can be trusted.
pub(super) fn damaged(name: Name, why: &str) -> Trouble {
    Trouble::Operator {
        doing: format!("stopped, nothing of it was applied: archive damaged at {name}"),
        advice:
            "see replay archive check and replay archive verify; put the file back from a copy, \
                 or copy the tables again: replay adopt"
                .into(),
        source: anyhow::anyhow!("{why}"),
    }
}

pub(super) fn of_body(name: Name, bad: BadBody) -> Trouble {
    match bad {
        BadBody::Record(error) if is_outage(&error) => unreadable(error),
        BadBody::Closed(why) => Trouble::Operator {
            doing: format!("stopped, nothing of it was applied: segment {name} cannot be opened"),
            advice: "give the identity that it is encrypted to: --identity FILE, or archive_identity in the config"
                .into(),
            source: anyhow::anyhow!(why),
        },
        bad @ (BadBody::Record(_) | BadBody::Header(_) | BadBody::Event(_) | BadBody::Wrong(_)) => {
            damaged(name, &bad.to_string())
        }
    }
}

/// The directory cannot be read now, or the config asks for what cannot be read at all.
pub(crate) fn unreadable(error: io::Error) -> Trouble {
    if is_config(&error) {
        return Trouble::Operator {
            doing: "could not read the archive".into(),
            advice: "put `archive`, `archive_options`, `archive_sources` or `archive_identity` right, or take the \
                     package's replay"
                .into(),
            source: anyhow::Error::new(error),
        };
    }
    Trouble::Passing {
        doing: "the archive cannot be read".into(),
        advice: Some(
            "mount it, give replay's user the right to read it, or have its store answer".into(),
        ),
        source: anyhow::Error::new(error),
    }
}
