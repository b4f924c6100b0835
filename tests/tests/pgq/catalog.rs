//! The catalogs side by side: tables, columns, keys, indexes, functions, grants. All that PgQ has, ours has; what
//! differs is listed, each line with its answer on our side.

use std::collections::BTreeSet;

use crate::differences::CATALOG;
use crate::pair::{Pair, Side};

/// What is compared, a line an object: kind and name, then all that a caller can tell.
const OBJECTS: &str = "
select format('function %s(%s) returns %s%s%s, %s', p.proname, pg_get_function_arguments(p.oid),
              pg_get_function_result(p.oid), case when p.proisstrict then ' strict' end,
              case p.provolatile when 'v' then ' volatile' when 's' then ' stable' else ' immutable' end,
              coalesce((select string_agg(case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ' '
                                          order by a.grantee::regrole::text)
                          from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                         where a.grantee <> p.proowner), 'nobody'))
  from pg_proc p where p.pronamespace = 'pgq'::regnamespace
union all
select format('column %s %s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              case when a.attnotnull then ' not null' end, ' default ' || pg_get_expr(d.adbin, d.adrelid))
  from pg_class c join pg_attribute a on a.attrelid = c.oid
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
 where c.relnamespace = 'pgq'::regnamespace and c.relkind = 'r' and a.attnum > 0
union all
select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
  from pg_constraint where connamespace = 'pgq'::regnamespace
union all
select indexdef from pg_indexes where schemaname = 'pgq'
union all
select format('inherits %s %s', inhrelid::regclass, inhparent::regclass) from pg_inherits
union all
select format('sequence %s from %s to %s by %s cache %s', sequencename, start_value, max_value, increment_by, cache_size)
  from pg_sequences where schemaname = 'pgq'
union all
select format('storage %s %s %s', c.relname, c.reloptions, t.reloptions)
  from pg_class c left join pg_class t on t.oid = c.reltoastrelid
 where c.relnamespace = 'pgq'::regnamespace and c.relkind = 'r' and c.relname ~ '^event_[0-9]'
union all
select format('right %s %s', c.relname, (
        select string_agg(distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end || '='
                          || lower(a.privilege_type), ' ')
          from aclexplode(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::\"char\", c.relowner))) a
         where a.grantee <> c.relowner))
  from pg_class c where c.relnamespace = 'pgq'::regnamespace and c.relkind in ('r', 'S')
union all
select format('role %s in %s', m.member::regrole, m.roleid::regrole) from pg_auth_members m
 where m.roleid::regrole::text like 'pgq%'
union all
select 'schema ' || (select string_agg(case a.grantee when 0 then 'public' else 'owner' end || '=' || a.privilege_type, ' '
                                       order by a.grantee = 0, a.privilege_type) from aclexplode(n.nspacl) a)
  from pg_namespace n where n.nspname = 'pgq'";

async fn objects(side: &mut Side) -> BTreeSet<String> {
    let text = side.run(OBJECTS, true).await;
    assert!(!text.starts_with("ERROR"), "{text}");
    text.lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_pgq_has_in_its_catalog_ours_has() {
    let mut pair = Pair::start().await;
    for side in [&mut pair.theirs, &mut pair.ours] {
        side.client
            .batch_execute("select pgq.create_queue('q')")
            .await
            .unwrap();
    }
    let (theirs, ours) = (
        objects(&mut pair.theirs).await,
        objects(&mut pair.ours).await,
    );
    let mut wrong = String::new();
    let mut listed = BTreeSet::new();
    for object in theirs.difference(&ours) {
        match CATALOG.iter().find(|(_, known, _)| known == object) {
            Some((_, known, answer)) => {
                listed.insert(*known);
                if !answer.is_empty() && !ours.contains(*answer) {
                    wrong.push_str(&format!("\nlisted, but ours lacks: {answer}"));
                }
            }
            None => wrong.push_str(&format!("\ntheirs only: {object}")),
        }
    }
    for (_, known, _) in CATALOG {
        if !listed.contains(known) {
            wrong.push_str(&format!("\nlisted, but no difference: {known}"));
        }
    }
    if !wrong.is_empty() {
        for object in ours.difference(&theirs) {
            wrong.push_str(&format!("\n  ours only: {object}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("{} objects of PgQ, {} of ours", theirs.len(), ours.len());
}
