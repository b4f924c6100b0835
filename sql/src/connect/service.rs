//! The connection service file of libpq: named sets of connection keywords. Reads files only.

use std::path::PathBuf;

use super::keywords::Env;
use crate::small_file;

/// Largest service file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The keywords of service `name`: from `PGSERVICEFILE`, else `~/.pg_service.conf`, else `PGSYSCONFDIR/pg_service.conf`
/// (`/etc/postgresql-common` and `/etc/postgresql` replace libpq's built-in directory). The error says what is wrong
/// with the service, with the file's path.
pub(crate) fn lookup(name: &str, env: Env<'_>) -> Result<Vec<(String, String)>, String> {
    let mut seen = Vec::new();
    for path in candidates(env) {
        let text = match small_file::read_text(&path, MAX_FILE_BYTES) {
            Ok((text, _)) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        match section(&text, name) {
            Ok(Some(pairs)) => return Ok(pairs),
            Ok(None) => seen.push(path.display().to_string()),
            Err(line) => {
                return Err(format!("{}:{line}: expected keyword=value", path.display()));
            }
        }
    }
    Err(if seen.is_empty() {
        "no service file found (PGSERVICEFILE, ~/.pg_service.conf)".to_owned()
    } else {
        format!("not defined in {}", seen.join(", "))
    })
}

fn candidates(env: Env<'_>) -> Vec<PathBuf> {
    let user = match env("PGSERVICEFILE").filter(|path| !path.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => env("HOME").map(|home| PathBuf::from(home).join(".pg_service.conf")),
    };
    let system = match env("PGSYSCONFDIR").filter(|path| !path.is_empty()) {
        Some(dir) => vec![dir],
        None => vec!["/etc/postgresql-common".into(), "/etc/postgresql".into()],
    };
    let system = system
        .into_iter()
        .map(|dir| PathBuf::from(dir).join("pg_service.conf"));
    user.into_iter().chain(system).collect()
}

/// The pairs under `[name]`; the error is the number of a line that is no pair.
fn section(text: &str, name: &str) -> Result<Option<Vec<(String, String)>>, usize> {
    let mut pairs: Option<Vec<(String, String)>> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            if pairs.is_some() {
                break;
            }
            if header.split(']').next() == Some(name) {
                pairs = Some(Vec::new());
            }
            continue;
        }
        if let Some(pairs) = &mut pairs {
            let (keyword, value) = line.split_once('=').ok_or(index + 1)?;
            pairs.push((keyword.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# services\n[a]\nhost=h1\nport = 5433\n\n[b]\nhost=h2\nbroken\n";

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let pair = |keyword: &str, value: &str| (keyword.to_owned(), value.to_owned());
        assert_eq!(
            section(FILE, "a"),
            Ok(Some(vec![pair("host", "h1"), pair("port", "5433")]))
        );
        assert_eq!(section(FILE, "c"), Ok(None));
        assert_eq!(section(FILE, "b"), Err(8));
    }
}
