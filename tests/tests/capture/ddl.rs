//! Differential test of schema changes: each form of DDL runs in a captured database and in one without capture. Both
//! must give the same answer to it and to the statements of the application after it; capture must know the table as it
//! is, and the events must say its rows.

mod forms;

use std::sync::Arc;

use tests::Cluster;
use tokio_postgres::Client;

use crate::provider::{Provider, server};
use forms::{ALONE, CAPTURED, NAMED, ON_TABLES, PARTS, SETUP, SOME, TREE};

/// Gives the statements that write to each captured table, whatever its columns are by then. {n} is a number of its own
/// for each round.
const WRITES: &str = "
    create schema probe; create table probe.tables (oid oid);
    create function probe.value(a pg_attribute, n int) returns text language sql stable as $f$
        select case t.typcategory when 'N' then n::text when 'S' then format('''v%s''', n)
                    when 'E' then (select format('%L', min(e.enumlabel)) from pg_enum e where e.enumtypid in (t.oid, t.typbasetype)) end
          from pg_type t where t.oid = a.atttypid
    $f$;
    create function probe.writes(n int) returns setof text language plpgsql stable as $f$
    declare c record; begin
        for c in
            select o.oid::regclass as t, array_agg(quote_ident(a.attname) order by a.attnum) as names,
                   array_agg(case a.attname when 'k' then (1 + n % 2)::text when 'far' then '1' when 'id' then n::text
                             else coalesce(probe.value(a, n), 'null') end order by a.attnum) as given
              from probe.tables o join pg_class r on r.oid = o.oid join pg_attribute a on a.attrelid = o.oid
             where a.attnum > 0 and not a.attisdropped and coalesce(to_jsonb(a) ->> 'attgenerated', '') = ''
             group by o.oid order by o.oid
        loop
            return next format('insert into %s (%s) values (%s)', c.t, array_to_string(c.names, ', '), array_to_string(c.given, ', '));
            return next format('update %s set %s where id %% 4 = %s', c.t, (
                select string_agg(u.name || ' = ' || u.given, ', ') from unnest(c.names, c.given) u (name, given)
                 where u.name not in ('id', 'k')), n % 4);
            return next format('delete from %s where id = %s', c.t, n - 9);
        end loop;
    end $f$";

/// A user's event trigger beside ours.
enum Beside {
    Nothing,
    /// It writes to a table that it finds by the user's search_path: it fails in ours.
    Fails,
    /// It refuses all that happens in our schema.
    Refuses,
    /// It writes to a captured table.
    Writes,
}

impl Beside {
    fn sql(&self) -> &'static str {
        match self {
            Beside::Nothing => "select 1",
            Beside::Fails => "create table ddl_log (tag text);
                create function log_ddl() returns event_trigger language plpgsql as $$ begin insert into ddl_log values (tg_tag); end $$;
                create event trigger a_log on ddl_command_end execute procedure log_ddl();
                create event trigger a_drop on sql_drop execute procedure log_ddl()",
            Beside::Refuses => "create function refuse() returns event_trigger language plpgsql as $$ begin
                    if exists (select from pg_event_trigger_ddl_commands() e where e.object_identity like 'trunkline.%' or e.object_identity like 'trunkline\\_%') then
                        raise exception 'no DDL there'; end if; end $$;
                create event trigger a_refuse on ddl_command_end execute procedure refuse()",
            Beside::Writes => "create table public.noted (id serial primary key, tag text);
                create function note_ddl() returns event_trigger language plpgsql as $$ begin insert into public.noted (tag) values (tg_tag); end $$;
                select trunkline.add_table('q', 'job', 'public', 'noted');
                create event trigger a_note on ddl_command_end execute procedure note_ddl()",
        }
    }
}

/// A captured database and its twin without capture.
struct Twins {
    captured: Provider,
    plain: Client,
    /// No event trigger of a user's is beside ours.
    alone: bool,
    round: usize,
}

impl Twins {
    async fn new(mut captured: Provider, beside: Beside) -> Twins {
        let db = captured.ask("select current_database()").await + "_plain";
        captured.cluster.create_db(&db);
        let plain = captured.cluster.connect(&db).await;
        captured
            .run("do $$ begin create role other; exception when duplicate_object or unique_violation then null; end $$; grant other to current_user")
            .await;
        let has_tree = captured.version() >= 11;
        for client in [&captured.client, &plain] {
            for sql in [SETUP, if has_tree { TREE } else { "" }, WRITES] {
                client.batch_execute(sql).await.expect(sql);
            }
            let oids = CAPTURED.map_tables(has_tree);
            let sql = format!("insert into probe.tables select unnest('{{{oids}}}'::regclass[])");
            client.batch_execute(&sql).await.expect(&sql);
        }
        for table in CAPTURED
            .iter()
            .filter(|table| has_tree || **table != "app.r")
        {
            captured.add(table).await;
        }
        captured.run(beside.sql()).await;
        captured.check_claims = false;
        Twins {
            captured,
            plain,
            alone: matches!(beside, Beside::Nothing),
            round: 0,
        }
    }

    /// Runs a form in both, which capture must know of at once.
    async fn form(&mut self, form: &str) {
        self.same(form).await;
        self.all_known(form).await;
    }

    /// Runs what the application writes in both, and requires that the events say what the tables hold.
    async fn writes(&mut self, form: &str) {
        self.round += 1;
        let writes = format!("select probe.writes({})", self.round);
        for row in self.plain.query(&writes, &[]).await.expect(&writes) {
            self.same(row.get(0)).await;
        }
        self.captured.check(form).await;
    }

    /// A statement has the same end in both databases.
    async fn same(&self, sql: &str) {
        let end = async |client: &Client| {
            let end = client.batch_execute(sql).await;
            let _ = client.batch_execute("rollback").await;
            end.err().map(|error| {
                error
                    .as_db_error()
                    .map(|error| (error.code().code().to_owned(), error.message().to_owned()))
            })
        };
        let (ours, theirs) = (end(&self.captured.client).await, end(&self.plain).await);
        let code = |end: &Option<Option<(String, String)>>| {
            end.as_ref()
                .map(|error| error.as_ref().map(|error| error.0.clone()))
        };
        assert_eq!(
            code(&ours),
            code(&theirs),
            "{sql}: {ours:?}, uncaptured {theirs:?}"
        );
    }

    /// What capture was made from is what the tables are; where the catalog is compared, after the next upkeep.
    async fn all_known(&self, form: &str) {
        self.captured.look_after().await;
        let differing = "select string_agg(c.table_name || ': ' || k.key || ' ' || (c.plan -> k.key)::text || ', is '
                || coalesce((p.plan -> k.key)::text, '-') || coalesce(' (' || c.problem || ')', ''), E'\\n')
              from trunkline.captured c
              cross join lateral (select trunkline.capture_plan(c.table_oid, c.plan) offset 0) p (plan)
              cross join lateral jsonb_object_keys(c.plan) k (key)
             where c.dropped_at is null
               and (c.plan -> k.key is distinct from p.plan -> k.key or c.problem is distinct from c.plan ->> 'problem')
               -- Where a user refuses what a new partition needs, it says so, and consumers are told to copy the table
               -- again.
               and ($1 or (c.problem like 'its capture could not be made anew: %') is not true)";
        let differing = self
            .captured
            .client
            .query_one(differing, &[&self.alone])
            .await
            .expect(form);
        assert_eq!(differing.get::<_, Option<String>>(0), None, "{form}");
    }
}

trait Tables {
    fn map_tables(&self, has_tree: bool) -> String;
}

impl Tables for [&str] {
    /// As an array's text.
    fn map_tables(&self, has_tree: bool) -> String {
        let there = self.iter().filter(|table| has_tree || **table != "app.r");
        there.copied().collect::<Vec<_>>().join(",")
    }
}

/// All forms; those that name a table on each of `named`, or each on one of them in turn.
async fn all_forms(p: Provider, beside: Beside, named: &[&str]) {
    let each = matches!(beside, Beside::Nothing);
    let mut twins = Twins::new(p, beside).await;
    for form in PARTS {
        twins.form(form).await;
        twins.writes(form).await;
    }
    for (kind, form) in ON_TABLES.iter().enumerate() {
        for (place, table) in named.iter().enumerate() {
            if !each && kind % named.len() != place {
                continue;
            }
            let number = kind * named.len() + place;
            let name = table.trim_start_matches("app.");
            let sql = form
                .replace("{t}", table)
                .replace("{name}", name)
                .replace("{n}", &number.to_string());
            twins.form(&sql).await;
        }
        twins.writes(form).await;
    }
    for form in ALONE {
        twins.form(form).await;
        twins.writes(form).await;
    }
    let marks = &twins.captured.marks;
    let late = |mark: &sql::event::Mark| format!("{mark:?}").contains("could not be made anew");
    assert!(
        !twins.alone || !marks.iter().any(|(_, mark)| late(mark)),
        "{marks:?}"
    );
}

#[tokio::test]
async fn d1_every_form_of_ddl_reaches_the_capture_of_all_that_it_changes() {
    let cluster = Arc::new(Cluster::builder(&server()).start());
    all_forms(
        Provider::in_db(&cluster, "events").await,
        Beside::Nothing,
        NAMED,
    )
    .await;
}

#[tokio::test]
async fn d1_every_form_of_ddl_reaches_the_capture_of_all_that_it_changes_where_the_catalog_is_compared()
 {
    let cluster = Arc::new(Cluster::builder(&server()).start());
    let p = Provider::in_db(&cluster, "compared").await;
    all_forms(p.without_event_triggers().await, Beside::Nothing, NAMED).await;
}

#[tokio::test]
async fn d2_event_triggers_of_users_that_fail_refuse_or_write_leave_capture_right() {
    let cluster = Arc::new(Cluster::builder(&server()).start());
    for (db, beside) in [
        ("fails", Beside::Fails),
        ("refuses", Beside::Refuses),
        ("writes", Beside::Writes),
    ] {
        all_forms(Provider::in_db(&cluster, db).await, beside, SOME).await;
    }
}
