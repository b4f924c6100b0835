//! Keys that hold names of queues.

use std::collections::BTreeSet;

use super::document::Section;

/// The longest name that still fits into a notification and a path.
const MAX_QUEUE_BYTES: usize = 255;

const FORM: &str = "must be 1 to 255 bytes without control characters";

/// The list `queues`.
pub(super) fn queues(section: &Section<'_>) -> Vec<String> {
    const KEY: &str = "queues";
    // Not given: no queue is made. Given and wrong: it is reported, and nothing is done.
    let texts = section.texts(KEY).unwrap_or_default();
    let list: Vec<String> = texts.into_iter().map(|text| text.value).collect();
    if list.iter().any(|name| !is_queue_name(name)) {
        section.problem(KEY, &format!("each name {FORM}"));
    }
    if has_duplicate(&list) {
        section.problem(KEY, "names a queue twice");
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

fn is_queue_name(name: &str) -> bool {
    !name.trim().is_empty()
        && name.len() <= MAX_QUEUE_BYTES
        && !name.contains(|c: char| c.is_control())
}

pub(super) fn has_duplicate(names: &[String]) -> bool {
    let distinct: BTreeSet<&String> = names.iter().collect();
    distinct.len() < names.len()
}
