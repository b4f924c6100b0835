//! Keys that hold names of queues and tables.

use std::collections::BTreeSet;

use sql::name::TableName;

use super::document::Section;

/// The longest name that still fits into a notification and a path.
const MAX_QUEUE_BYTES: usize = 255;

const FORM: &str = "must be 1 to 255 bytes without control characters";

/// A list of queues.
pub(super) fn queues(section: &Section<'_>, key: &str) -> Vec<String> {
    // A key that is not given means that no queue is made. A wrong list is reported, and nothing is done.
    let texts = section.texts(key).unwrap_or_default();
    let list: Vec<String> = texts.into_iter().map(|text| text.value).collect();
    if list.iter().any(|name| !is_queue_name(name)) {
        section.problem(key, &format!("each name {FORM}"));
    }
    if has_duplicate(&list) {
        section.problem(key, "names a queue twice");
    }
    list
}

/// The queue of a replay.
pub(super) fn queue(section: &Section<'_>, key: &str) -> Option<String> {
    if !section.has(key) {
        section.missing(key, "the queue that is replicated");
    }
    let name = section.text(key)?.value;
    if !is_queue_name(&name) {
        section.problem(key, FORM);
        return None;
    }
    Some(name)
}

/// A list of tables: `schema.table`, as on a command line, with `*` and `?` in unquoted names, or with `!` before a
/// table that is left out.
pub(super) fn tables(section: &Section<'_>, key: &str) -> Vec<String> {
    // A key that is not given means no table. A wrong list is reported, and nothing is done.
    let texts = section.texts(key).unwrap_or_default();
    let list: Vec<String> = texts.into_iter().map(|text| text.value).collect();
    for one in &list {
        let name = one.strip_prefix('!').unwrap_or(one);
        let is_pattern = !name.contains('"') && name.contains(['*', '?']);
        let is_good = if is_pattern {
            name.matches('.').count() == 1
        } else {
            name.parse::<TableName>().is_ok()
        };
        if !is_good {
            section.problem(
                key,
                "each must be schema.table, where * and ? match, with ! before it to leave it out",
            );
        }
    }
    if !list.is_empty() && list.iter().all(|one| one.starts_with('!')) {
        section.problem(key, "must name what to add, not only what to leave out");
    }
    list
}

fn is_queue_name(name: &str) -> bool {
    !name.trim().is_empty()
        && name.len() <= MAX_QUEUE_BYTES
        && !name.contains(|c: char| c.is_control())
}

/// An address and a port to listen on, as `127.0.0.1:8017`, `[::1]:8017` or `localhost:8017`.
pub(super) fn address(section: &Section<'_>, key: &str) -> Option<String> {
    let text = section.text(key)?;
    let parts = text.value.rsplit_once(':');
    let is_good = parts.is_some_and(|(host, port)| {
        let host_is_good = !host.is_empty() && !host.contains(char::is_whitespace);
        let is_v6 = host.starts_with('[') && host.ends_with(']');
        host_is_good && (is_v6 || !host.contains(':')) && port.parse::<u16>().is_ok_and(|p| p > 0)
    });
    if !is_good {
        let problem = "must be an address and a port (1 to 65535), as \"127.0.0.1:8017\"";
        section.problem(key, problem);
        return None;
    }
    Some(text.value)
}

pub(super) fn has_duplicate(names: &[String]) -> bool {
    let distinct: BTreeSet<&String> = names.iter().collect();
    distinct.len() < names.len()
}
