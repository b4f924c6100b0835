//! The keys of the config files: name, form, default, range, and whether a reload takes a new
//! value. All of it is said once, beside the code that reads the key. Pure.

use std::time::Duration;

use super::value::{NumberRange, TimeRange, spoken_size, spoken_time};

/// A key of a config file, as `docs/settings.md` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key's section, such as `[replay]`; empty for the keys that every daemon has.
    pub section: &'static str,
    /// The key's name.
    pub key: &'static str,
    /// The form of the key's value: a time, a size, a word, ...
    pub form: String,
    /// The value that holds if the key is not given; `required` if it must be given.
    pub default: String,
    /// The allowed values, both ends included; empty: any value of the form.
    pub range: String,
    /// Whether a running daemon takes a new value when it is told to reload.
    pub reload: bool,
}

/// Whether a running daemon takes a new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reload {
    /// With `reload`, or the signal HUP.
    Taken,
    /// Only when it is started again.
    Restart,
}

/// A key of any form.
pub(super) trait Key {
    /// As it stands in the file.
    fn name(&self) -> &'static str;

    /// The key as the manual has it.
    fn setting(&self, section: &'static str) -> Setting;
}

/// The names of some keys.
pub(super) fn names(keys: &[&dyn Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name()).collect()
}

/// A text, path, name or list; what it must be is said by the function that reads it.
pub(super) struct TextKey {
    pub(super) name: &'static str,
    pub(super) form: &'static str,
    pub(super) default: &'static str,
    pub(super) range: &'static str,
    pub(super) reload: Reload,
}

/// A time.
pub(super) struct TimeKey {
    pub(super) name: &'static str,
    pub(super) default: Duration,
    pub(super) range: TimeRange,
    pub(super) reload: Reload,
}

/// A whole number.
pub(super) struct NumberKey {
    pub(super) name: &'static str,
    pub(super) default: u64,
    pub(super) range: NumberRange,
    pub(super) reload: Reload,
}

/// A number of bytes.
pub(super) struct SizeKey {
    pub(super) name: &'static str,
    pub(super) default: u64,
    pub(super) range: NumberRange,
    pub(super) reload: Reload,
}

/// One of a few words, each with what it means.
pub(super) struct WordKey<T: 'static> {
    pub(super) name: &'static str,
    pub(super) default: (&'static str, T),
    pub(super) others: &'static [(&'static str, T)],
    pub(super) reload: Reload,
}

/// A yes or a no: `true` or `false` without quotes.
pub(super) struct FlagKey {
    pub(super) name: &'static str,
    pub(super) default: bool,
    pub(super) reload: Reload,
}

impl<T> WordKey<T> {
    /// All words, the default first.
    pub(super) fn words(&self) -> impl Iterator<Item = &(&'static str, T)> {
        std::iter::once(&self.default).chain(self.others)
    }
}

fn setting(
    section: &'static str,
    key: &'static str,
    reload: Reload,
    [form, default, range]: [String; 3],
) -> Setting {
    Setting {
        section,
        key,
        form,
        default,
        range,
        reload: reload == Reload::Taken,
    }
}

impl Key for TextKey {
    fn name(&self) -> &'static str {
        self.name
    }

    fn setting(&self, section: &'static str) -> Setting {
        let told = [self.form, self.default, self.range].map(str::to_owned);
        setting(section, self.name, self.reload, told)
    }
}

impl Key for TimeKey {
    fn name(&self) -> &'static str {
        self.name
    }

    fn setting(&self, section: &'static str) -> Setting {
        let default = spoken_time(self.default);
        let told = ["time".to_owned(), default, self.range.to_string()];
        setting(section, self.name, self.reload, told)
    }
}

impl Key for NumberKey {
    fn name(&self) -> &'static str {
        self.name
    }

    fn setting(&self, section: &'static str) -> Setting {
        let default = self.default.to_string();
        let told = ["number".to_owned(), default, self.range.to_string()];
        setting(section, self.name, self.reload, told)
    }
}

impl Key for SizeKey {
    fn name(&self) -> &'static str {
        self.name
    }

    fn setting(&self, section: &'static str) -> Setting {
        let default = spoken_size(self.default);
        let told = ["size".to_owned(), default, self.range.as_sizes()];
        setting(section, self.name, self.reload, told)
    }
}

impl Key for FlagKey {
    fn name(&self) -> &'static str {
        self.name
    }

    fn setting(&self, section: &'static str) -> Setting {
        let default = self.default.to_string();
        let told = ["flag".to_owned(), default, "true, false".to_owned()];
        setting(section, self.name, self.reload, told)
    }
}

impl<T> Key for WordKey<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn setting(&self, section: &'static str) -> Setting {
        let words: Vec<&str> = self.words().map(|(word, _)| *word).collect();
        let default = self.default.0.to_owned();
        let told = ["word".to_owned(), default, words.join(", ")];
        setting(section, self.name, self.reload, told)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::settings;
    use super::Setting;

    /// The page.
    const PAGE: &str = "docs/settings.md";

    /// A line of the page without what the key means, and without the signs of code.
    fn line(of: &Setting) -> String {
        let reload = if of.reload { "yes" } else { "no" };
        let cells = [of.key, &of.form, &of.default, &of.range, reload];
        cells.join(" | ")
    }

    /// The lines of the page's tables: the chapter, the facts of a key, and what it means.
    fn documented(page: &str) -> Vec<(String, String, String)> {
        let mut chapter = "";
        let mut lines = Vec::new();
        for text in page.lines() {
            if let Some(title) = text.strip_prefix("## ") {
                chapter = title;
            }
            let cells: Vec<&str> = text.split('|').map(str::trim).collect();
            if let ["", key, facts @ .., meaning, ""] = cells.as_slice()
                && key.starts_with('`')
            {
                let facts = format!("{key} | {}", facts.join(" | ")).replace('`', "");
                let section = chapter.replace('`', "").replace("Both daemons", "");
                lines.push((section, facts, (*meaning).to_owned()));
            }
        }
        lines
    }

    #[test]
    fn the_manual_has_each_setting_with_its_default_range_and_reload() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
        let documented = documented(&page);
        let settings = settings();
        assert!(settings.len() > 20, "{settings:?}");
        let mut wrong = Vec::new();
        for setting in &settings {
            let wanted = line(setting);
            let is_there = |(section, facts, meaning): &(String, String, String)| {
                section == setting.section && *facts == wanted && !meaning.is_empty()
            };
            if !documented.iter().any(is_there) {
                wrong.push(format!("{} lacks: | {wanted} | ...", setting.section));
            }
        }
        for (section, facts, _) in &documented {
            let is_known =
                |setting: &Setting| setting.section == section && line(setting) == *facts;
            if !settings.iter().any(is_known) {
                wrong.push(format!("{section} has: {facts}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{PAGE} and the keys of admin/src/config differ; each key has its line there, with what \
             it means in the last cell:\n{}",
            wrong.join("\n")
        );
    }
}
