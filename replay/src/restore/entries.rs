//! The entries of a base's schema, as `pg_restore` lists them, by what is done with each. Pure.
//!
//! An entry is known by its number, and its kind by the catalog of its object and the first word. Names are only shown
//! to people and never parsed, because a schema may be called ATTACH.

/// What is done with an entry of the schema that comes after the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An index, or a constraint with one: changes are applied by it. One beside the other.
    Index,
    /// A partition's index becomes part of the whole table's.
    Attach,
    /// A foreign key: one after the other, because each locks two tables.
    ForeignKey,
    /// A trigger, or an event trigger: those of capture are left out.
    Trigger,
    /// All else.
    Other,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// What people see of it.
    pub(crate) label: String,
}

const PG_CLASS: u32 = 1259;
const PG_CONSTRAINT: u32 = 2606;
const PG_TRIGGER: u32 = 2620;
const PG_EVENT_TRIGGER: u32 = 3466;

/// Reads what `pg_restore --list` prints. None: a line is not understood.
pub(crate) fn entries(list: &str) -> Option<Vec<Entry>> {
    let lines = list
        .lines()
        .filter(|line| !line.starts_with(';') && !line.is_empty());
    lines.map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let (number, rest) = line.split_once("; ")?;
    let mut words = rest.splitn(3, ' ');
    let catalog: u32 = words.next()?.parse().ok()?;
    words.next()?.parse::<u32>().ok()?;
    let label = words.next()?;
    let word = label.split(' ').next()?;
    Some(Entry {
        number: number.parse().ok()?,
        kind: match (catalog, word) {
            (PG_CLASS, "INDEX") | (PG_CONSTRAINT, "CONSTRAINT") => Kind::Index,
            (0, "INDEX") => Kind::Attach,
            (PG_CONSTRAINT, "FK") => Kind::ForeignKey,
            (PG_TRIGGER | PG_EVENT_TRIGGER, _) => Kind::Trigger,
            _ => Kind::Other,
        },
        label: label.to_owned(),
    })
}

/// Of which of our schemas the function is that a trigger calls. No base has these: the trigger cannot be made.
pub(crate) fn of_ours(script: &str) -> Option<&'static str> {
    let calls = ["EXECUTE FUNCTION ", "EXECUTE PROCEDURE "];
    let found = calls
        .iter()
        .filter_map(|word| Some((script.rfind(word)?, word.len())));
    let (at, length) = found.max()?;
    let called = script.get(at + length..)?.split_once('.')?.0;
    ["trunkline", "pgq", "pgq_coop", "pgq_ext"]
        .into_iter()
        .find(|schema| called == *schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_by_catalog_and_first_word_and_never_by_names() {
        let list = "; comment\n3300; 2606 16400 CONSTRAINT public t t_pkey app\n\
             3301; 1259 16402 INDEX public \"FK\" app\n3302; 0 0 INDEX ATTACH public t_x app\n\
             3303; 2606 16403 FK CONSTRAINT public u u_fkey app\n3304; 2620 16404 TRIGGER public t INDEX app\n\
             3305; 3466 16405 EVENT TRIGGER - e app\n3306; 0 0 COMMENT public CONSTRAINT t app\n\
             3307; 2606 16408 CHECK CONSTRAINT public t c app\n";
        let kinds: Vec<Kind> = entries(list).unwrap().iter().map(|one| one.kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Index,
                Kind::Index,
                Kind::Attach,
                Kind::ForeignKey,
                Kind::Trigger,
                Kind::Trigger,
                Kind::Other,
                Kind::Other
            ]
        );
        assert_eq!(entries("no entry"), None);
    }

    #[test]
    fn triggers_of_capture_are_told_by_what_they_call() {
        let of = |calls: &str| format!("CREATE TRIGGER t AFTER INSERT ON public.t {calls}");
        let ours = |calls: &str| of_ours(&of(calls));
        assert_eq!(
            ours("EXECUTE FUNCTION trunkline.capture_1_insert();"),
            Some("trunkline")
        );
        assert_eq!(ours("EXECUTE PROCEDURE pgq.logutriga('q');"), Some("pgq"));
        assert_eq!(ours("EXECUTE FUNCTION public.trunkline();"), None);
        assert_eq!(ours("EXECUTE FUNCTION app.f('EXECUTE')"), None);
    }
}
