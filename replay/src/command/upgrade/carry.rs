//! The copy of an upgrade: all tables and sequences, and none that nobody has asked to be left behind.

use admin::{
    cli::say,
    exit::{Exit, Failure},
};
use sql::{
    doctor::{Kind, Relation},
    name::TableName,
};

use super::{
    child,
    provider::Provider,
    side::{self, facts},
    steps::Upgrade,
};

/// How long one wait for the copy takes, after which it is told how far it is.
const LOOK: &str = "5";

/// Tables that one command adds by all their columns.
const AT_ONCE: usize = 50;

impl Upgrade<'_> {
    pub(super) async fn copy(&mut self) -> Result<(), Failure> {
        if self.place.notes.copied {
            self.nothing_is_missing(Provider::New).await?;
            return self.wait_for_all().await;
        }
        let all = ["add", "--all", "--create", "--with-seqs"];
        // 1: some cannot be added like that.
        self.on("new-replay", &[1], ("replay", &all)).await?;
        let from = facts(&self.place.old).await?;
        let lacks_key = |one: &&Relation| {
            matches!(one.kind, Kind::Table | Kind::Partitioned) && !one.is_partition && !one.has_key
        };
        let keyless: Vec<&str> = from
            .relations
            .iter()
            .filter(lacks_key)
            .map(|one| one.name.as_str())
            .filter(|name| !self.is_left(name, Provider::New))
            .collect();
        for some in keyless.chunks(AT_ONCE) {
            let args = [
                &["add", "--identity", "full", "--create", "--with-seqs"],
                some,
            ]
            .concat();
            self.on("new-replay", &[1], ("replay", &args)).await?;
        }
        // Those that no table uses, too. 1: some are not on the new database, or follow another provider there.
        let all = ["add-seq", "--all"];
        self.on("new-replay", &[1], ("replay", &all)).await?;
        self.nothing_is_missing(Provider::New).await?;
        self.wait_for_all().await?;
        self.place.notes.copied = true;
        self.place.save()
    }

    /// Whether a table or sequence stays behind: on the way there also one that an earlier run has named, on the way
    /// back only what this run names, since it would be lost with the rows that it has got meanwhile.
    fn is_left(&self, name: &str, to: Provider) -> bool {
        let before: &[String] = match to {
            Provider::New => &self.place.notes.left,
            Provider::Old | Provider::Nobody => &[],
        };
        is_among(name, &self.args.leave, before)
    }

    /// A table that is not replicated would be empty on the other database, or lack rows, and nobody would notice; and
    /// a sequence would begin anew.
    pub(super) async fn nothing_is_missing(&mut self, to: Provider) -> Result<(), Failure> {
        let follower = format!("{}-replay", to.word());
        let missing = self.read(&follower, ("replay", &["missing"])).await?;
        if missing.code != 0 {
            return Err(child::failed(&missing, "replay", &["missing"]));
        }
        let (mut left, mut lacking) = (Vec::new(), Vec::new());
        for line in missing.stdout.lines() {
            // A name is one word: blanks in it are escaped.
            let name = line.split_whitespace().next().unwrap_or_default();
            match self.is_left(name, to) {
                true => left.push(name.to_owned()),
                false => lacking.push(line.to_owned()),
            }
        }
        let (provider, other) = match to {
            Provider::New => (&self.place.old, &self.place.new),
            Provider::Old | Provider::Nobody => (&self.place.new, &self.place.old),
        };
        let carried = side::carried(other).await?;
        for sequence in facts(provider).await?.sequences {
            let name: TableName = sequence.name.parse().map_err(anyhow::Error::from)?;
            let word = name.to_string();
            let is_known = carried.contains(&name) || left.contains(&word);
            if is_known
                || lacking
                    .iter()
                    .any(|line| line.starts_with(&format!("{word} ")))
            {
                continue;
            }
            let why = match sequence.readable {
                true => "a sequence",
                false => "a sequence that the role may not read",
            };
            match self.is_left(&word, to) {
                true => left.push(word),
                false => lacking.push(format!("{word} ({why}: replay add-seq)")),
            }
        }
        if !lacking.is_empty() {
            let what = format!("these are not replicated: {}", lacking.join("; "));
            let config = self.place.config(&follower).display().to_string();
            return Err(
                Failure::message(Exit::Failed, what).with_hint(format!(
                    "replay -c {config} add, or add-seq, says why, and how they could be; --leave NAME leaves one \
                     behind, without its rows"
                )),
            );
        }
        for name in &left {
            eprintln!("left behind: {name}");
        }
        if to == Provider::New {
            self.place.notes.left = left;
        }
        self.place.save()
    }

    /// Waits until all tables are in step, and tells how far they are.
    async fn wait_for_all(&self) -> Result<(), Failure> {
        const TIMED_OUT: i32 = Exit::TimedOut as i32;
        let wait = ["wait", "--timeout", LOOK];
        while self
            .on("new-replay", &[TIMED_OUT], ("replay", &wait))
            .await?
            .code
            != 0
        {
            let tables = self.read("new-replay", ("replay", &["tables"])).await?;
            let states = tables.stdout.lines().skip(1);
            let states: Vec<&str> = states.filter_map(|line| line.split(' ').nth(1)).collect();
            let ok = states.iter().filter(|state| **state == "ok").count();
            say(
                self.common,
                &format!("{ok} of {} tables are in step", states.len()),
            )?;
        }
        Ok(())
    }
}

/// Whether a name, as SQL or a command's output has it, is one of those that are named.
fn is_among(name: &str, now: &[TableName], before: &[String]) -> bool {
    let Ok(name) = name.parse::<TableName>() else {
        return false;
    };
    let before = before.iter().filter_map(|one| one.parse().ok());
    now.iter()
        .cloned()
        .chain(before)
        .any(|one: TableName| one == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_left_behind_however_it_is_written() {
        let named: Vec<TableName> = ["t", "app.u", "\"a b\"", "app.\"My (x)\""]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        for name in [
            "public.t",
            "app.u",
            "public.\"a b\"",
            "public.U&\"a\\0020b\"",
            "app.U&\"My\\0020(x)\"",
        ] {
            assert!(is_among(name, &named, &[]), "{name}");
            assert!(is_among(name, &[], &[name.to_owned()]), "{name}");
        }
        for name in ["app.t", "public.u", "public.a", "app.my", ""] {
            assert!(!is_among(name, &named, &[]), "{name}");
        }
    }
}
