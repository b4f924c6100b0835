//! Every name that our SQL and our Rust give to a server has its schema, or is looked up where nobody can put anything
//! but the server: a `search_path` of `pg_catalog, pg_temp`, under which functions and operators are those of
//! pg_catalog, and a relation or a type that pg_catalog has is found there first. What it does not have would be looked
//! for among the session's temporary tables, which code of others can make: such a name needs its schema.

mod texts;
mod tokens;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use sql::install::{Component, install};
use tests::Cluster;

use self::{
    tokens::{Token, tokens},
    walk::{Kind, Loose},
};

const ALL: [Component; 6] = [
    Component::Pgq,
    Component::Coop,
    Component::Ext,
    Component::Provider,
    Component::Subscriber,
    Component::Member,
];

/// Functions without a path of their own that run under whatever path a caller has: all they name has its schema,
/// operators, too.
const UNDER_ANY_PATH: &[(&str, &str)] = &[
    (
        "pgq.logutriga",
        "hands the writer's path on to the expressions of its arguments",
    ),
    ("pgq.sqltriga", "as logutriga"),
    ("pgq.jsontriga", "as logutriga"),
    ("pgq._pin_output", "what it sets must outlive it"),
    ("pgq.get_batch_cursor", "the condition is the caller's SQL"),
    (
        "trunkline.pin_plans",
        "what it sets must outlive it; a clause costs two microseconds a call",
    ),
    ("trunkline.unpin_plans", "as pin_plans"),
    (
        "trunkline.hold_tables",
        "a clause takes longer than all else in it",
    ),
    (
        "trunkline.serve",
        "runs a statement of ours with the path that it was written for",
    ),
];

/// Functions without a path of their own that only functions with one call, because a clause costs two microseconds a
/// call.
const UNDER_A_CALLERS: &[(&str, &[&str])] = &[
    (
        "pgq._trigger_arguments",
        &["pgq._log_change", "pgq._log_truncate"],
    ),
    (
        "pgq._trigger_columns",
        &["pgq._log_change", "pgq._log_truncate"],
    ),
    ("pgq._change_row", &["pgq._log_change"]),
    ("pgq._change_sql", &["pgq._log_change"]),
    (
        "pgq._change_type",
        &["pgq._log_change", "pgq._log_truncate"],
    ),
    (
        "pgq._name_list",
        &["pgq._log_change", "pgq._trigger_arguments"],
    ),
    ("pgq._urlencode", &["pgq._change_row"]),
    (
        "pgq._insert_N",
        &["pgq.insert_event", "pgq._queue_changed", "pgq._make_insert"],
    ),
    // Capture's functions call it, whose texts these make; the last one takes rights.
    (
        "trunkline.put_N",
        &[
            "trunkline.capture_source",
            "trunkline.capture_sums",
            "trunkline.capture_changed",
            "trunkline.log_mark",
            "trunkline.make_put",
            "pgq.grant_perms",
        ],
    ),
    (
        "trunkline.current_table_N",
        &[
            "trunkline.capture_chain",
            "trunkline.capture_one",
            "trunkline.make_put",
            "trunkline.make_current_table",
        ],
    ),
];

/// Sessions that begin without a proof of whose our schemas are (`ConnectInfo::connect_for` gives one), by the file
/// that opens them.
const UNPROVEN: &[(&str, &str)] = &[
    ("admin/src/daemon/waits.rs", "asks views of the server only"),
    (
        "admin/src/databases.rs",
        "asks for the list of databases, which is the server's",
    ),
    (
        "admin/src/status/provider.rs",
        "`is_installed` and `facts` prove",
    ),
    ("admin/src/status/queues.rs", "`maker` proves"),
    (
        "admin/src/status/subscribers.rs",
        "`standing::subscriber` proves first",
    ),
    (
        "admin/trunkline/check/versions.rs",
        "`installed::components` proves",
    ),
    (
        "admin/trunkline/doctor/mod.rs",
        "asks views and catalogs of the server only",
    ),
    ("admin/trunkline/probe.rs", "`role::serves` proves first"),
    (
        "admin/trunkline/places.rs",
        "proves what is there; something may be missing",
    ),
    (
        "replay/src/command/mod.rs",
        "nothing may be installed: only what proves by itself is called",
    ),
    (
        "replay/src/command/archive/verify.rs",
        "the server is one of its own, made a moment before",
    ),
    (
        "replay/src/command/restore.rs",
        "`restore::unfinished` proves first, and so does `install`",
    ),
    (
        "replay/src/command/upgrade/side.rs",
        "`ownership::prove` proves first; else only the server's catalogs are asked",
    ),
    (
        "replay/src/command/uninstall.rs",
        "`uninstall::is_there` proves all of our schemas first",
    ),
    ("replay/src/queue/ticks.rs", "listens, and calls nothing"),
    ("ticker/src/database.rs", "`maker` proves"),
    ("ticker/src/databases.rs", "`maker` proves"),
    (
        "ticker/src/install.rs",
        "`install` proves inside its transaction",
    ),
];

/// What capture's triggers call the rows of a statement: its statements are written in one file, and the triggers in
/// another.
const ROWS_OF_TRIGGERS: [&str; 2] = ["newt", "oldt"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// Every file below a folder of the repository with this ending: its path below the root, and its text.
fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == ending) {
                let below = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(below, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The Rust of the programs, without their unit tests.
fn rust() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for folder in [
        "sql/src",
        "admin/src",
        "admin/trunkline",
        "replay/src",
        "ticker/src",
    ] {
        all.extend(files(folder, "rs"));
    }
    all.retain(|path, _| !path.ends_with("tests.rs"));
    all
}

/// What pg_catalog has.
struct Builtin {
    functions: BTreeSet<String>,
    relations: BTreeSet<String>,
    types: BTreeSet<String>,
}

impl Builtin {
    fn of(cluster: &Cluster) -> Builtin {
        let names = |sql: &str| -> BTreeSet<String> {
            let all = cluster.psql("postgres", sql);
            all.lines().map(str::to_owned).collect()
        };
        let ours = "namespace = 'pg_catalog'::regnamespace";
        Builtin {
            functions: names(&format!(
                "select distinct proname from pg_proc where pro{ours}"
            )),
            relations: names(&format!("select relname from pg_class where rel{ours}")),
            types: names(&format!("select typname from pg_type where typ{ours}")),
        }
    }

    fn has(&self, loose: &Loose) -> bool {
        match loose.kind {
            // A cast may be written as a call.
            Kind::Function => {
                self.functions.contains(&loose.name) || self.types.contains(&loose.name)
            }
            Kind::Relation => self.relations.contains(&loose.name),
            Kind::Type => {
                self.types.contains(&loose.name)
                    || ["record", "trigger", "setof"].contains(&loose.name.as_str())
            }
            Kind::Operator => true,
        }
    }
}

/// The texts of a file that are SQL, those within each other, too, each with its line.
fn sql_of(path: &str, text: &str) -> Vec<(usize, Vec<Token>)> {
    let mut open: Vec<(usize, String)> = if path.ends_with(".sql") {
        vec![(1, text.to_owned())]
    } else {
        let programs = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let mut literals = tokens::literals(programs);
        literals.retain(|(_, literal)| texts::is_sql(literal));
        literals
    };
    let mut found = Vec::new();
    while let Some((line, text)) = open.pop() {
        let cut = tokens(&text);
        let inner = texts::inner(&cut).filter(|inner| texts::is_sql(inner));
        open.extend(inner.map(|inner| (line, inner.to_owned())));
        found.push((line, cut));
    }
    found
}

#[test]
fn every_name_in_sql_and_in_rust_has_its_schema_or_is_one_of_the_servers() {
    let cluster = Cluster::start();
    let builtin = Builtin::of(&cluster);
    let mut sources = rust();
    sources.extend(files("sql", "sql"));
    let sources: Vec<_> = sources
        .iter()
        .map(|(path, text)| (path, sql_of(path, text)))
        .collect();
    let looked_at: usize = sources.iter().map(|(_, texts)| texts.len()).sum();
    let mut wrong = Vec::new();
    for (path, texts) in &sources {
        // A query is named in one text of a file and used in another.
        let mut local: BTreeSet<String> = texts
            .iter()
            .flat_map(|(_, cut)| walk::local_names(cut))
            .collect();
        local.extend(ROWS_OF_TRIGGERS.map(str::to_owned));
        for (line, cut) in texts {
            let loose = walk::loose(cut, &local)
                .into_iter()
                .filter(|one| !builtin.has(one));
            wrong.extend(loose.map(|one| format!("{path}:{line}: {one}")));
        }
    }
    assert!(looked_at > 1000, "only {looked_at} texts of SQL were found");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn names_without_a_schema_are_found_wherever_they_stand() {
    for (sql, expected) in [
        (
            "select f(1) from t join s.u on g(u.x)",
            "Function f, Relation t, Function g",
        ),
        (
            "select * from s.a, b where x = any (c(1))",
            "Relation b, Function c",
        ),
        (
            "insert into t (a) select a::word from x.y",
            "Relation t, Type word",
        ),
        (
            "update t set a = 1; delete from only u; truncate v; lock table w in share mode",
            "Relation t, Relation u, Relation v, Relation w",
        ),
        (
            "create table t (a int); alter table if exists u add b s.d",
            "Relation t, Relation u",
        ),
        (
            "create function f(i_a word, i_b int) returns void as $$ x $$",
            "Function f, Type word",
        ),
        (
            "declare v_a word; v_b s.d := s.f(1); begin perform g(v_a); end",
            "Type word, Function g",
        ),
        (
            "with q (a) as (select 1), r as (select 2) select q.a from q, r q2 (a)",
            "",
        ),
        (
            "select extract(epoch from now_), a is distinct from b, cast(a as word)",
            "Type word",
        ),
        (
            "select count(*) from {table} t, %s u, %I.%I v, {}.w",
            "Function count",
        ),
    ] {
        let cut = tokens(sql);
        let found: Vec<String> = walk::loose(&cut, &walk::local_names(&cut))
            .iter()
            .map(Loose::to_string)
            .collect();
        assert_eq!(found.join(", "), expected, "{sql}");
    }
    let operators = walk::loose_operators(&tokens(
        "a := b operator(pg_catalog.=) c::s.d; select * from s.t where a = $1",
    ));
    assert_eq!(operators.len(), 1, "{operators:?}");
}

/// The functions of our schemas that have no path of their own, with their sources; numbers in their names are N.
async fn without_a_path() -> BTreeMap<String, String> {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres").await;
    install(&mut client, &ALL).await.unwrap();
    client
        .batch_execute(
            "create role other; create schema other authorization other; \
             create table t (id int primary key, at timestamptz); \
             set role other; create table other.o (id int primary key, v text); reset role; \
             select pgq.create_queue('q'), pgq.register_consumer('q', 'c'); \
             select trunkline.add_table('q', 'c', 'public', 't'), trunkline.add_table('q', 'c', 'other', 'o')",
        )
        .await
        .unwrap();
    let rows = client
        .query(
            "select regexp_replace(n.nspname || '.' || p.proname, '[0-9]+$', 'N'), p.prosrc, p.prosecdef \
               from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
              where n.nspname in ('pgq', 'pgq_coop', 'pgq_ext', 'trunkline') \
                and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)",
            &[],
        )
        .await
        .unwrap();
    let mut found = BTreeMap::<String, String>::new();
    for row in rows {
        let (name, source): (String, String) = (row.get(0), row.get(1));
        assert!(
            !row.get::<_, bool>(2),
            "{name} is SECURITY DEFINER without a path of its own"
        );
        *found.entry(name).or_default() += &source;
    }
    found
}

#[tokio::test]
async fn a_function_without_a_path_of_its_own_names_schemas_or_is_called_under_one() {
    let found = without_a_path().await;
    let listed = UNDER_ANY_PATH.iter().map(|(name, _)| *name);
    let listed: BTreeSet<&str> = listed
        .chain(UNDER_A_CALLERS.iter().map(|(name, _)| *name))
        .collect();
    let there: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(there, listed);
    for (name, _) in UNDER_ANY_PATH {
        let cut = tokens(&found[*name]);
        let mut loose = walk::loose(&cut, &BTreeSet::new());
        loose.extend(walk::loose_operators(&cut));
        assert_eq!(loose, [], "{name}");
    }
    // Nobody else calls the others: no function of another file, and no program.
    let mut callers = files("sql", "sql");
    callers.extend(rust());
    callers.retain(|path, _| !path.starts_with("sql/upgrade"));
    for (name, allowed) in UNDER_A_CALLERS {
        // Of a function that is made for each queue its maker's file and its callers have a hole for the number.
        let call = match name.strip_suffix('N') {
            Some(prefix) => format!("{prefix}%"),
            None => format!("{name}("),
        };
        let is_in = |text: &str, one: &str| text.contains(&format!("function {one}("));
        for (path, text) in &callers {
            let may = is_in(text, name) || allowed.iter().any(|one| is_in(text, one));
            assert!(may || !text.contains(&call), "{path} calls {name}");
        }
    }
}

#[test]
fn a_session_proves_whose_our_schemas_are_or_says_why_it_does_not() {
    let opens = |text: &str| text.contains(".connect(") && !text.contains("pub async fn connect(");
    let found: BTreeSet<String> = rust()
        .into_iter()
        .filter(|(_, text)| opens(text))
        .map(|(path, _)| path)
        .collect();
    // The driver's own `connect` makes the session that all of these are about.
    let found: BTreeSet<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|path| *path != "sql/src/connect/session.rs")
        .collect();
    let listed: BTreeSet<&str> = UNPROVEN.iter().map(|(path, _)| *path).collect();
    assert_eq!(found, listed);
}
