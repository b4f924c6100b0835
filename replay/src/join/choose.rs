//! The tables that a command line means: names, patterns, or all. Pure.

use std::str::FromStr;

use admin::exit::Exit;
use sql::{
    name::{BadName, TableName},
    near,
};
use wildmatch::WildMatch;

/// A table as written on a command line. `*` and `?` match in unquoted names.
#[derive(Clone, Debug)]
pub(crate) enum TablePattern {
    /// One table.
    Name(TableName),
    /// The tables that a pattern matches.
    Pattern(Pattern),
}

/// A pattern of schema and name.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// The pattern as it was written.
    text: String,
    schema: WildMatch,
    name: WildMatch,
}

impl Pattern {
    /// Reads a pattern `schema.name`; a pattern without a dot is for names in schema public.
    fn new(text: &str) -> Pattern {
        let (schema, name) = text.split_once('.').unwrap_or(("public", text));
        Pattern {
            text: text.to_owned(),
            schema: WildMatch::new(&schema.to_ascii_lowercase()),
            name: WildMatch::new(&name.to_ascii_lowercase()),
        }
    }

    fn matches(&self, table: &TableName) -> bool {
        self.schema.matches(&table.schema) && self.name.matches(&table.name)
    }
}

impl FromStr for TablePattern {
    type Err = BadName;

    fn from_str(text: &str) -> Result<TablePattern, BadName> {
        if !text.contains('"') && text.contains(['*', '?']) {
            return Ok(TablePattern::Pattern(Pattern::new(text)));
        }
        text.parse().map(TablePattern::Name)
    }
}

impl TablePattern {
    /// Whether the argument means a table.
    fn means(&self, table: &TableName) -> bool {
        match self {
            TablePattern::Name(name) => name == table,
            TablePattern::Pattern(pattern) => pattern.matches(table),
        }
    }
}

/// Tables that the worker adds by itself (`auto_add`).
#[derive(Clone, Debug, Default)]
pub(crate) struct AutoAdd {
    wanted: Vec<TablePattern>,
    left_out: Vec<TablePattern>,
}

impl AutoAdd {
    /// Reads the list of the config; `!` stands before tables that are left out.
    pub(crate) fn read(list: &[String]) -> Result<AutoAdd, BadName> {
        let mut rule = AutoAdd::default();
        for one in list {
            match one.strip_prefix('!') {
                Some(name) => rule.left_out.push(name.parse()?),
                None => rule.wanted.push(one.parse()?),
            }
        }
        Ok(rule)
    }

    /// Whether the list adds no table.
    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether a table is to be added.
    pub(crate) fn takes(&self, table: &TableName) -> bool {
        let means = |one: &TablePattern| one.means(table);
        self.wanted.iter().any(means) && !self.left_out.iter().any(means)
    }
}

/// The choice of a command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice<'a> {
    /// All tables.
    pub all: bool,
    /// Names and patterns.
    pub wanted: &'a [TablePattern],
    /// With `all`: only schemas that match.
    pub schema: Option<&'a str>,
    /// A pattern of tables that are left out.
    pub exclude: Option<&'a str>,
}

/// The chosen items of all that exist.
#[derive(Debug)]
pub(crate) struct Chosen<T> {
    /// Items found by name: the user means just this item.
    pub named: Vec<T>,
    /// Items found by a pattern or by `all`.
    pub matched: Vec<T>,
    /// Names that no item has.
    pub unknown: Vec<Unknown>,
    /// Patterns that no item matches, as they were written.
    pub unmatched: Vec<String>,
}

/// A name that no item has.
#[derive(Debug)]
pub(crate) struct Unknown {
    /// The name.
    pub table: TableName,
    /// The name that was probably meant.
    near: Option<TableName>,
}

impl Unknown {
    /// A sentence about the unknown name, with the name that was probably meant behind it.
    pub(crate) fn is(&self, why: &str) -> String {
        let near = near::did_you_mean(self.near.as_ref());
        format!("{}: {why}{near}", self.table)
    }
}

impl<T> Chosen<T> {
    /// Prints the names that no item has, as `DOING: NAME: WHY`; gives how many.
    pub(crate) fn tell_unknown(&self, doing: &str, why: &str) -> usize {
        for unknown in &self.unknown {
            eprintln!("{doing}: {}", unknown.is(why));
        }
        self.unknown.len()
    }
}

/// Patterns that match nothing on any of the subscribers.
#[derive(Debug, Default)]
pub(crate) struct Unmatched(Option<Vec<String>>);

impl Unmatched {
    /// Adds the unmatched patterns of one more subscriber.
    pub(crate) fn also(&mut self, of_subscriber: Vec<String>) {
        self.0 = Some(match self.0.take() {
            None => of_subscriber,
            Some(mut before) => {
                before.retain(|pattern| of_subscriber.contains(pattern));
                before
            }
        });
    }

    /// Prints the patterns, as `DOING: PATTERN: matches nothing`. Gives the exit code of the command, which without
    /// unmatched patterns would be `exit`.
    pub(crate) fn tell(self, doing: &str, exit: Exit) -> Exit {
        let patterns = self.0.unwrap_or_default();
        for pattern in &patterns {
            eprintln!("{doing}: {pattern}: matches nothing");
        }
        if exit == Exit::Done && !patterns.is_empty() {
            return Exit::Part;
        }
        exit
    }
}

impl Choice<'_> {
    /// Chooses items; each at most once, in the order of `there`.
    pub(crate) fn of<T>(&self, there: Vec<T>, name: impl Fn(&T) -> &TableName) -> Chosen<T> {
        let mut chosen = Chosen {
            named: Vec::new(),
            matched: Vec::new(),
            unknown: self.unknown(&there, &name),
            unmatched: self.unmatched(&there, &name),
        };
        for item in there {
            if self.names(name(&item)) {
                chosen.named.push(item);
            } else if self.matches(name(&item)) {
                chosen.matched.push(item);
            }
        }
        chosen
    }

    fn unknown<T>(&self, there: &[T], name: &impl Fn(&T) -> &TableName) -> Vec<Unknown> {
        self.wanted
            .iter()
            .filter_map(|wanted| match wanted {
                TablePattern::Name(table) => Some(table),
                TablePattern::Pattern(_) => None,
            })
            .filter(|table| !there.iter().any(|item| name(item) == *table))
            .map(|table| Unknown {
                table: table.clone(),
                near: near::table(table, there.iter().map(name)).cloned(),
            })
            .collect()
    }

    fn unmatched<T>(&self, there: &[T], name: &impl Fn(&T) -> &TableName) -> Vec<String> {
        let nothing = |means: &dyn Fn(&TableName) -> bool| !there.iter().map(name).any(means);
        let patterns = self.wanted.iter().filter_map(|wanted| match wanted {
            TablePattern::Pattern(pattern) => Some(pattern),
            TablePattern::Name(_) => None,
        });
        let mut unmatched: Vec<String> = patterns
            .filter(|pattern| nothing(&|table| pattern.matches(table)))
            .map(|pattern| pattern.text.clone())
            .collect();
        if let Some(schema) = self.schema
            && nothing(&|table| WildMatch::new(schema).matches(&table.schema))
        {
            unmatched.push(format!("--schema {schema}"));
        }
        unmatched
    }

    fn names(&self, table: &TableName) -> bool {
        self.wanted
            .iter()
            .any(|wanted| matches!(wanted, TablePattern::Name(name) if name == table))
    }

    fn matches(&self, table: &TableName) -> bool {
        let by_pattern = self.wanted.iter().any(
            |wanted| matches!(wanted, TablePattern::Pattern(pattern) if pattern.matches(table)),
        );
        let in_schema = self
            .schema
            .is_none_or(|schema| WildMatch::new(schema).matches(&table.schema));
        let excluded = self
            .exclude
            .is_some_and(|exclude| Pattern::new(exclude).matches(table));
        (by_pattern || self.all) && in_schema && !excluded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there() -> Vec<TableName> {
        [
            ("public", "a"),
            ("public", "tmp_a"),
            ("app_1", "a"),
            ("app_1", "A*"),
        ]
        .map(|(schema, name)| TableName::new(schema, name))
        .to_vec()
    }

    fn chosen(choice: &Choice<'_>) -> (Vec<String>, Vec<String>, usize) {
        let chosen = choice.of(there(), |table| table);
        let words = |tables: &[TableName]| tables.iter().map(ToString::to_string).collect();
        (
            words(&chosen.named),
            words(&chosen.matched),
            chosen.unknown.len(),
        )
    }

    #[test]
    fn all_takes_what_schema_and_exclude_leave() {
        let choice = Choice {
            all: true,
            exclude: Some("*.tmp_*"),
            ..Choice::default()
        };
        assert_eq!(chosen(&choice).1, ["public.a", "app_1.a", "app_1.\"A*\""]);
        let choice = Choice {
            all: true,
            schema: Some("app_*"),
            ..Choice::default()
        };
        assert_eq!(chosen(&choice).1, ["app_1.a", "app_1.\"A*\""]);
    }

    #[test]
    fn what_is_left_out_is_left_out_wherever_it_stands() {
        let rule = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(ToString::to_string).collect();
            AutoAdd::read(&list).unwrap()
        };
        let taken = |rule: &AutoAdd| -> Vec<String> {
            let taken = there().into_iter().filter(|table| rule.takes(table));
            taken.map(|table| table.to_string()).collect()
        };
        assert_eq!(
            taken(&rule(&["!*.tmp_*", "*.*", "!app_1.\"A*\""])),
            ["public.a", "app_1.a"]
        );
        assert_eq!(taken(&rule(&["app_1.\"A*\""])), ["app_1.\"A*\""]);
        assert!(taken(&AutoAdd::default()).is_empty());
    }

    #[test]
    fn u5_a_pattern_that_matches_nothing_is_named() {
        let wanted = ["ap.*", "app_*.*", "b*"].map(|text| text.parse().unwrap());
        let choice = Choice {
            wanted: &wanted,
            ..Choice::default()
        };
        let chosen = choice.of(there(), |table| table);
        assert_eq!(chosen.unmatched, ["ap.*", "b*"]);
        // A pattern that matches on one subscriber is not unmatched.
        let mut unmatched = Unmatched::default();
        unmatched.also(chosen.unmatched);
        unmatched.also(vec!["b*".into()]);
        assert_eq!(unmatched.0.as_deref(), Some(&["b*".to_owned()][..]));
        assert_eq!(unmatched.tell("not added", Exit::Done), Exit::Part);
        assert_eq!(
            Unmatched::default().tell("not added", Exit::Failed),
            Exit::Failed
        );
        let choice = Choice {
            all: true,
            schema: Some("nosuch"),
            ..Choice::default()
        };
        let chosen = choice.of(there(), |table| table);
        assert_eq!(chosen.unmatched, ["--schema nosuch"]);
    }

    #[test]
    fn u6_a_name_that_is_nearly_right_is_asked_after() {
        let wanted = ["app.a".parse().unwrap(), "tmp_b".parse().unwrap()];
        let choice = Choice {
            wanted: &wanted,
            ..Choice::default()
        };
        let chosen = choice.of(there(), |table| table);
        let says: Vec<String> = chosen
            .unknown
            .iter()
            .map(|one| one.is("is not there"))
            .collect();
        assert_eq!(
            says,
            [
                "app.a: is not there; did you mean public.a?",
                "public.tmp_b: is not there; did you mean public.tmp_a?"
            ]
        );
    }

    #[test]
    fn a_star_in_quotes_is_a_character() {
        let wanted = ["app_1.\"A*\"".parse().unwrap(), "b".parse().unwrap()];
        let choice = Choice {
            wanted: &wanted,
            ..Choice::default()
        };
        assert_eq!(chosen(&choice), (vec!["app_1.\"A*\"".into()], vec![], 1));
    }
}
