//! What is asked of each side. Pure.
//!
//! A row is known by the text of its key and by a hash of the text of all compared columns. Both servers compute the
//! hash in the same way from the same text, whatever their versions and encodings are.

use sql::{
    name::{quote_ident, quote_literal},
    verify,
};

use crate::copy::select::FilterNow;

/// A column of a table's key, as one side has it.
#[derive(Debug)]
pub(super) struct KeyColumn {
    /// The column's name.
    pub(super) name: String,
    /// The column's type, with modifiers; of a domain, the type below it: a cast to the domain runs its checks, which
    /// are code of its owner.
    pub(super) type_name: String,
    /// Its values are floats, which the key's text has bit by bit.
    pub(super) is_bits: bool,
}

/// How one side's rows are read.
#[derive(Debug)]
pub(super) struct Side {
    /// The table, as `only public.t`.
    pub(super) relation: String,
    /// The value of each compared column, as an expression on the table under the alias `t`.
    pub(super) values: Vec<String>,
    /// The key; empty: rows are not told apart, and equal rows are counted.
    pub(super) key: Vec<KeyColumn>,
    /// The places of the key's columns in `values`, in the key's order.
    pub(super) key_values: Vec<usize>,
    /// Which of the provider's rows are replicated; none: all.
    pub(super) filter: Option<FilterNow>,
    /// ` and` with the condition which of the subscriber's rows are this job's; empty: all are.
    pub(super) and_own: String,
    /// The two databases have different encodings, so texts are hashed in UTF-8.
    pub(super) converts: bool,
}

/// A stretch of the keys: after the first, up to and with the last; none at the open ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    /// The key before the stretch.
    pub(super) after: Option<Vec<String>>,
    /// The last key of the stretch.
    pub(super) upto: Option<Vec<String>>,
}

/// A part of the keys, chosen by a hash of their texts, so that both sides choose the same ones.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// How many of 1,000,000 keys are compared.
    pub(super) of_million: u32,
    /// Makes each run's choice another one.
    pub(super) salt: u32,
}

/// Into how many groups rows are put by their hashes, so that only groups that differ are listed; a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Groups(pub(super) u32);

impl Groups {
    /// The groups of a first look, which is almost as quick as one sum.
    pub(super) const FEW: Groups = Groups(1 << 10);
    /// The groups of a second look, where many of the first differ.
    pub(super) const MANY: Groups = Groups(1 << 16);

    fn of(self, hash: &str) -> String {
        format!("({hash} & {})", self.0.saturating_sub(1))
    }
}

impl Side {
    /// The number of rows and the sum of their hashes, as `GROUP COUNT SUM`, of each group that has rows; without
    /// groups one line with the group 0.
    pub(super) fn sums(
        &self,
        range: &Range,
        groups: Option<Groups>,
        sample: Option<&Sample>,
    ) -> String {
        let h = self.name("h");
        let rows = self.rows(
            &[(&h, self.hash(&self.row()))],
            &self.chosen(range, sample),
            groups.is_some(),
        );
        let Some(groups) = groups else {
            return format!(
                "select '0 ' || count(*)::text || ' ' || coalesce(sum({h}), 0)::text from ({rows}) x"
            );
        };
        let group = groups.of(&h);
        format!(
            "select {group}::text || ' ' || count(*)::text || ' ' || sum({h})::text \
             from ({rows}) x group by {group}"
        )
    }

    /// Each row as `HASH KEY`, of these groups; none: of all. Of rows without a key equal ones are one line, as
    /// `HASH:COUNT KEY`.
    pub(super) fn list(
        &self,
        range: &Range,
        groups: Option<(Groups, &[u32])>,
        sample: Option<&Sample>,
    ) -> String {
        let (h, k) = (self.name("h"), self.name("k"));
        let wanted = [(h.as_str(), self.hash(&self.row())), (&k, self.key_text())];
        let rows = self.rows(&wanted, &self.chosen(range, sample), true);
        let condition = groups.map_or_else(String::new, |(all, some)| {
            let groups: Vec<String> = some.iter().map(u32::to_string).collect();
            format!(
                " where {} = any ('{{{}}}'::bigint[])",
                all.of(&h),
                groups.join(",")
            )
        });
        if self.key.is_empty() {
            // Equal rows are one line with their number, so that any number of them takes no memory.
            return format!(
                "select {h}::text || ':' || count(*)::text || ' ' || {k} from ({rows}) x{condition} group by {h}, {k}"
            );
        }
        format!("select {h}::text || ' ' || {k} from ({rows}) x{condition}")
    }

    /// The rows of a stretch as [`Side::list`] has them, at most so many.
    pub(super) fn list_of_most(&self, range: &Range, most: u64) -> String {
        format!("{} limit {most}", self.list(range, None, None))
    }

    /// The key of the nth row after a key, in the order of the keys, as a record; no line: there are not so many.
    pub(super) fn border(&self, after: Option<&[String]>, n: u32) -> String {
        let range = Range {
            after: after.map(<[String]>::to_vec),
            upto: None,
        };
        let key: Vec<String> = self
            .key
            .iter()
            .map(|c| format!("t.{}", quote_ident(&c.name)))
            .collect();
        format!(
            "select row({keys})::text from {} t{} order by {keys} offset {} limit 1",
            self.relation,
            where_all(&self.within(&range)),
            n.saturating_sub(1),
            keys = key.join(", ")
        )
    }

    /// The rows without a key that have some hashes, each as a JSON array: its hash, how many there are, and the JSON
    /// array of the texts of these columns.
    pub(super) fn count_rows(&self, names: &[String], hashes: &[&str]) -> String {
        let (k, c) = (self.name("k"), self.name("c"));
        let values = format!("to_json(array[{}]::text[])::text", texts(names));
        let hashes: Vec<String> = hashes.iter().map(|hash| quote_literal(hash)).collect();
        // Not fenced: the texts are made of the rows that are meant, and of no others.
        format!(
            "select json_build_array({k}, count(*), min({c}))::text from ({rows}) x \
             where {k} = any (array[{}]::text[]) group by {k}",
            hashes.join(", "),
            rows = self.rows(&[(&k, self.key_text()), (&c, values)], &[], false)
        )
    }

    /// The rows of some keys, which are as events have them, as [`Side::list`] has them.
    pub(super) fn list_of_keys(&self, keys: &[&str]) -> String {
        let (h, k) = (self.name("h"), self.name("k"));
        let wanted = [(h.as_str(), self.hash(&self.row())), (&k, self.key_text())];
        // An event has a float as a number, and one of eight digits reads like bits.
        let keys = keys.iter().map(|key| fields(key)).collect();
        self.of_each_key(keys, &wanted, &format!("{h}::text || ' ' || {k}"))
    }

    /// The rows of some keys, each as a JSON array: the key's number in the list, the version of the row, its key, and
    /// a hash of each column. Of rows without a key the number is 0, the version is how many there are, and the key is
    /// the hash of the row.
    pub(super) fn look(&self, keys: &[&str]) -> String {
        let (v, k, c) = (self.name("v"), self.name("k"), self.name("c"));
        if self.key.is_empty() {
            let rows = self.rows(&[(&k, self.key_text())], &[], true);
            let keys: Vec<String> = keys.iter().map(|key| quote_literal(key)).collect();
            return format!(
                "select json_build_array(0, count(*)::text, {k}, '{{}}'::text[])::text from ({rows}) x \
                 where {k} = any (array[{}]::text[]) group by {k}",
                keys.join(", ")
            );
        }
        let hashes: Vec<String> = self
            .values
            .iter()
            .map(|value| format!("md5({})", self.bytes(&format!("row({value})::text"))))
            .collect();
        let wanted = [
            (v.as_str(), "t.xmin::text".to_owned()),
            (&k, self.key_text()),
            (&c, format!("array[{}]", hashes.join(", "))),
        ];
        self.of_each(
            keys,
            &wanted,
            &format!("json_build_array(w.n, {v}, {k}, {c})::text"),
        )
    }

    /// The values of the rows of some keys, each as a JSON array: the key's number in the list, and the array of the
    /// texts of these columns.
    pub(super) fn values_of(&self, names: &[String], keys: &[&str]) -> String {
        let c = self.name("c");
        let wanted = [(c.as_str(), format!("array[{}]", texts(names)))];
        self.of_each(keys, &wanted, &format!("json_build_array(w.n, {c})::text"))
    }

    /// The values of a key that has no null, each as its type reads it.
    fn values_of_key(&self, key: &str) -> Vec<String> {
        let columns = self.key.iter().zip(fields(key));
        columns
            .map(|(column, value)| {
                if column.is_bits {
                    float_of_bits(&value)
                } else {
                    value
                }
            })
            .collect()
    }

    /// A key as a person reads it, as a record.
    pub(super) fn shown(&self, key: &str) -> String {
        if self.key.iter().any(|column| column.is_bits) && !has_null(key) {
            record(&self.values_of_key(key))
        } else {
            key.to_owned()
        }
    }

    /// One search of the key's index for each key, as [`Side::key_text`] has them.
    fn of_each(&self, keys: &[&str], wanted: &[(&str, String)], output: &str) -> String {
        let keys = keys.iter().map(|key| self.values_of_key(key)).collect();
        self.of_each_key(keys, wanted, output)
    }

    /// The same for keys as their types read them.
    fn of_each_key(
        &self,
        keys: Vec<Vec<String>>,
        wanted: &[(&str, String)],
        output: &str,
    ) -> String {
        let lines: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(n, key)| {
                let fields: Vec<String> = key.iter().map(|f| quote_literal(f)).collect();
                format!("({n}, {})", fields.join(", "))
            })
            .collect();
        let names: Vec<String> = (0..self.key.len()).map(|n| format!("w{n}")).collect();
        let conditions: Vec<String> = self
            .key
            .iter()
            .zip(&names)
            .map(|(column, name)| {
                format!(
                    "t.{} = w.{name}::{}",
                    quote_ident(&column.name),
                    column.type_name
                )
            })
            .collect();
        format!(
            "select {output} from (values {}) w (n, {}) cross join lateral ({}) x",
            lines.join(", "),
            names.join(", "),
            self.rows(wanted, &conditions, true)
        )
    }

    /// A query for these expressions, each under a name, of the rows that fulfil all conditions. Where it is `fenced`,
    /// each expression is computed once a row.
    fn rows(&self, wanted: &[(&str, String)], conditions: &[String], fenced: bool) -> String {
        let columns = wanted
            .iter()
            .map(|(name, value)| format!("{value} as {name}"));
        let seen = self.filter.iter().flat_map(|filter| &filter.names);
        let seen = seen.map(|(now, known)| format!("t.{now} as {known}"));
        let columns: Vec<String> = columns.chain(seen).collect();
        let mut condition = where_all(conditions);
        if !self.and_own.is_empty() {
            let begin = if condition.is_empty() {
                " where true"
            } else {
                ""
            };
            condition = format!("{condition}{begin}{}", self.and_own);
        }
        let fence = if fenced { " offset 0" } else { "" };
        let rows = format!(
            "select {} from {} t{condition}",
            columns.join(", "),
            self.relation
        );
        match &self.filter {
            None => format!("{rows}{fence}"),
            Some(filter) => format!(
                "select * from ({rows}) f where ({}){fence}",
                filter.condition
            ),
        }
    }

    fn chosen(&self, range: &Range, sample: Option<&Sample>) -> Vec<String> {
        let sampled = sample.map(|sample| {
            format!(
                "('x' || substr(md5({}), 1, 8))::bit(32)::bigint % 1000000 < {}",
                self.bytes(&format!("'{}' || {}", sample.salt, self.key_text())),
                sample.of_million
            )
        });
        self.within(range).into_iter().chain(sampled).collect()
    }

    /// The conditions of a stretch.
    fn within(&self, range: &Range) -> Vec<String> {
        let ends = [(&range.after, ">"), (&range.upto, "<=")];
        ends.into_iter()
            .filter_map(|(end, operator)| {
                let values: Vec<String> = end
                    .as_ref()?
                    .iter()
                    .zip(&self.key)
                    .map(|(value, c)| format!("{}::{}", quote_literal(value), c.type_name))
                    .collect();
                let names: Vec<String> = self
                    .key
                    .iter()
                    .map(|c| format!("t.{}", quote_ident(&c.name)))
                    .collect();
                Some(format!(
                    "({}) {operator} ({})",
                    names.join(", "),
                    values.join(", ")
                ))
            })
            .collect()
    }

    /// The text of a row.
    fn row(&self) -> String {
        format!("row({})::text", self.values.join(", "))
    }

    /// The text that a row is known by.
    pub(super) fn key_text(&self) -> String {
        if self.key.is_empty() {
            return format!("md5({})", self.bytes(&self.row()));
        }
        let values: Vec<&str> = self
            .key_values
            .iter()
            .filter_map(|&at| self.values.get(at))
            .map(String::as_str)
            .collect();
        format!("row({})::text", values.join(", "))
    }

    fn hash(&self, text: &str) -> String {
        verify::row_hash(&self.bytes(text))
    }

    fn bytes(&self, text: &str) -> String {
        if self.converts {
            format!("convert_to({text}, 'UTF8')")
        } else {
            text.to_owned()
        }
    }

    fn name(&self, name: &str) -> String {
        match &self.filter {
            None => name.to_owned(),
            Some(filter) => filter.free_name(name),
        }
    }
}

/// The texts of columns, as a list.
fn texts(names: &[String]) -> String {
    let texts = names
        .iter()
        .map(|name| text(&format!("t.{}", quote_ident(name))));
    texts.collect::<Vec<_>>().join(", ")
}

/// The text of a value as its type writes it, which a cast does not give of each type; null stays null.
pub(super) fn text(value: &str) -> String {
    format!("case when num_nulls({value}) = 0 then format('%s', {value}) end")
}

/// The float that these bits are, in as few digits as bring it back; a text that is no bits stays.
fn float_of_bits(bits: &str) -> String {
    match bits.len() {
        8 => u32::from_str_radix(bits, 16).map(|bits| format!("{:e}", f32::from_bits(bits))),
        16 => u64::from_str_radix(bits, 16).map(|bits| format!("{:e}", f64::from_bits(bits))),
        _ => return bits.to_owned(),
    }
    .unwrap_or_else(|_| bits.to_owned())
}

/// Whether a field of a record's text is null.
pub(crate) fn has_null(record: &str) -> bool {
    nullable_fields(record).contains(&None)
}

/// The fields of a record's text that are not null.
pub(crate) fn fields(record: &str) -> Vec<String> {
    nullable_fields(record).into_iter().flatten().collect()
}

/// The fields of a record's text; none: null.
pub(crate) fn nullable_fields(record: &str) -> Vec<Option<String>> {
    let inner = record
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    sql::event::row::fields(inner.unwrap_or(record).as_bytes())
        .map(|field| Some(String::from_utf8_lossy(&field?.unescape()).into_owned()))
        .collect()
}

/// A key as a record, each field in double quotes.
pub(super) fn record(fields: &[String]) -> String {
    let quoted =
        |field: &String| format!("\"{}\"", field.replace('\\', "\\\\").replace('"', "\"\""));
    let fields: Vec<String> = fields.iter().map(quoted).collect();
    format!("({})", fields.join(","))
}

fn where_all(conditions: &[String]) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    format!(" where {}", conditions.join(" and "))
}

#[cfg(test)]
mod tests;
