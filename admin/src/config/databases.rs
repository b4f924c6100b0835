//! Keys that hold connection strings.

use sql::connect::ConnectInfo;

use super::document::Section;

/// The connection string of `key`; a wrong string is reported without being repeated.
pub(super) fn connection(
    section: &Section<'_>,
    key: &str,
    found: &mut Referred,
) -> Option<ConnectInfo> {
    let text = section.text(key)?;
    if ConnectInfo::names_password(&text.raw) {
        found.passwords.push(text.line);
    }
    match text.value.parse() {
        Ok(info) => Some(info),
        Err(error) => {
            section.problem(key, &sql::connect::ConninfoError::to_string(&error));
            None
        }
    }
}

/// What reading connection strings finds beside them.
#[derive(Debug, Default)]
pub(super) struct Referred {
    /// Lines with a password in clear text.
    pub(super) passwords: Vec<usize>,
}

impl Referred {
    /// The warning about passwords in a file with these permission bits.
    pub(super) fn warnings(&self, mode: u32) -> Option<String> {
        let line = self.passwords.first()?;
        (mode & 0o004 != 0).then(|| {
            format!(
                "line {line} holds a password and every user can read the file (mode {mode:04o}); \
                 chmod 0600, or use PGPASSFILE"
            )
        })
    }
}
