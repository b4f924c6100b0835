//! Tells each fact once, until the fact is over or changes. Pure.

use std::collections::HashMap;
use std::hash::Hash;

/// The texts that a log, or its reader, knows already: one text a key.
#[derive(Debug)]
pub struct Once<K> {
    told: HashMap<K, String>,
}

impl<K> Default for Once<K> {
    fn default() -> Self {
        Once {
            told: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash> Once<K> {
    /// Whether `text` is news of `key`: nothing was said of the key, another text was said, or the text that was said
    /// is over.
    pub fn say(&mut self, key: K, text: &str) -> bool {
        if self.told.get(&key).is_some_and(|told| told == text) {
            return false;
        }
        self.told.insert(key, text.to_owned());
        true
    }

    /// Ends what was said of `key`, so that the same text is news again. Gives whether anything had been said.
    pub fn over<Q>(&mut self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.told.remove(key).is_some()
    }

    /// Ends what was said of all keys but those that `holds` takes, and gives the ended keys.
    pub fn only(&mut self, holds: impl Fn(&K) -> bool) -> Vec<K> {
        let gone = self.told.extract_if(|key, _| !holds(key));
        gone.map(|(key, _)| key).collect()
    }

    /// Whether a text was said of `key` and is not over.
    pub fn holds<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.told.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_news_again_when_it_was_over() {
        let mut once = Once::default();
        assert!(once.say("loop", "could not connect"));
        assert!(!once.say("loop", "could not connect"));
        assert!(once.say("tables", "could not connect"));
        assert!(once.say("loop", "wrong password"));
        assert!(once.say("loop", "could not connect"));
        assert!(once.over("loop"));
        assert!(!once.over("loop"));
        assert!(once.say("loop", "could not connect"));
        assert_eq!(once.only(|key| *key == "loop"), ["tables"]);
        assert!(once.holds("loop") && !once.holds("tables"));
    }
}
