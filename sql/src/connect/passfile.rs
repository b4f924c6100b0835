//! The password file of libpq: `host:port:database:user:password`, one a line. Reads files only.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::keywords::Env;
use crate::small_file;

/// Largest password file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Whose password is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    /// Name, address or socket directory of the server, as given.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) dbname: &'a str,
    pub(crate) user: &'a str,
}

/// Where the password file is if no connection string says so: `~/.pgpass`.
pub(crate) fn default_path(env: Env<'_>) -> Option<PathBuf> {
    env("HOME").map(|home| PathBuf::from(home).join(".pgpass"))
}

/// The first password of the file that fits. As in libpq, a file that others can read is ignored with a warning: a
/// password that everybody knows must not be relied on in silence.
pub(crate) fn lookup(path: &Path, wanted: Login<'_>) -> Option<String> {
    let (text, metadata) = match small_file::read_text(path, MAX_FILE_BYTES) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "password file ignored, unreadable");
            return None;
        }
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(
            file = %path.display(),
            "password file ignored, group or others have access, run chmod 0600"
        );
        return None;
    }
    find(&text, wanted)
}

fn find(text: &str, wanted: Login<'_>) -> Option<String> {
    // libpq looks up its own socket directory as "localhost".
    let host = match wanted.host {
        "" | "/var/run/postgresql" | "/run/postgresql" | "/tmp" => "localhost",
        host => host,
    };
    let port = wanted.port.to_string();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut rest = line;
            for value in [host, &port, wanted.dbname, wanted.user] {
                let (field, after) = first_field(rest);
                rest = after?;
                if field.raw != "*" && field.text != value {
                    return None;
                }
            }
            Some(unescaped(rest)).filter(|password| !password.is_empty())
        })
}

struct Field<'a> {
    /// The field as written, in which only a bare * is a wildcard.
    raw: &'a str,
    /// The field with \: and \\ resolved.
    text: String,
}

/// The text before the first bare colon, and what follows the colon.
fn first_field(line: &str) -> (Field<'_>, Option<&str>) {
    let mut text = String::new();
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => {
                let (raw, rest) = line.split_at(at);
                return (Field { raw, text }, rest.strip_prefix(':'));
            }
            '\\' => text.extend(chars.next().map(|(_, c)| c)),
            c => text.push(c),
        }
    }
    (Field { raw: line, text }, None)
}

/// The password is the rest of its line, bare colons included.
fn unescaped(rest: &str) -> String {
    let mut text = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = "# a comment\n\
        h1:5432:db:me:first\n\
        h1:*:*:me:with\\:colon\\\\\n\
        localhost:5432:db:me:socket\n\
        \\*:1:db:me:literal star\n\
        broken line\n\
        *:*:*:other:any\n";

    fn password(host: &str, port: u16, user: &str) -> Option<String> {
        let wanted = Login {
            host,
            port,
            dbname: "db",
            user,
        };
        find(FILE, wanted)
    }

    #[test]
    fn the_first_line_that_fits_gives_the_password() {
        assert_eq!(password("h1", 5432, "me").as_deref(), Some("first"));
        assert_eq!(password("h1", 1, "me").as_deref(), Some("with:colon\\"));
        assert_eq!(password("h9", 1, "other").as_deref(), Some("any"));
        assert_eq!(password("h9", 1, "me"), None);
    }

    #[test]
    fn a_socket_directory_is_looked_up_as_localhost() {
        assert_eq!(password("/tmp", 5432, "me").as_deref(), Some("socket"));
        assert_eq!(password("/srv/sock", 5432, "me"), None);
    }

    #[test]
    fn an_escaped_star_is_no_wildcard() {
        assert_eq!(password("h9", 1, "me"), None);
        assert_eq!(password("*", 1, "me").as_deref(), Some("literal star"));
    }

    #[test]
    fn a_file_that_others_can_read_is_ignored() {
        let path = std::env::temp_dir().join(format!("pgpass-{}", std::process::id()));
        fs::write(&path, "*:*:*:*:secret\n").unwrap();
        let wanted = Login {
            host: "h",
            port: 1,
            dbname: "d",
            user: "u",
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(lookup(&path, wanted), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(lookup(&path, wanted).as_deref(), Some("secret"));
        fs::remove_file(&path).unwrap();
    }
}
