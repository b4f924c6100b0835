//! What stands on the tables of a database, as text: all that must come back as it was.

/// One line an index, constraint, trigger, cluster mark and comment of schema public, in an order of its own.
/// Works on PostgreSQL 10 to 18.
pub(crate) const CATALOG: &str = "\
    select string_agg(line, E'\\n' order by line collate \"C\") from ( \
        select 'index ' || pg_get_indexdef(i.indexrelid) || ' unique ' || i.indisunique || ' primary ' || i.indisprimary \
            || ' immediate ' || i.indimmediate || ' valid ' || i.indisvalid || ' clustered ' || i.indisclustered \
            || ' identity ' || i.indisreplident || ' in ' || coalesce(t.spcname, 'default') \
            || ' options ' || coalesce(c.reloptions::text, '') || ' owner ' || pg_get_userbyid(c.relowner) \
            || ' statistics ' || coalesce((select string_agg(a.attnum || ':' || a.attstattarget, ',' order by a.attnum) \
                   from pg_attribute a where a.attrelid = c.oid and a.attstattarget >= 0), '') \
            || ' comment ' || coalesce(obj_description(c.oid, 'pg_class'), '') as line \
          from pg_index i join pg_class c on c.oid = i.indexrelid \
          left join pg_tablespace t on t.oid = c.reltablespace \
         where c.relnamespace = 'public'::regnamespace \
        union all \
        select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) \
            || ' validated ' || convalidated || ' deferrable ' || condeferrable || ' deferred ' || condeferred \
            || ' comment ' || coalesce(obj_description(oid, 'pg_constraint'), '') \
          from pg_constraint where connamespace = 'public'::regnamespace and conrelid <> 0 \
        union all \
        select 'trigger ' || tgrelid::regclass || ' ' \
            || case when tgisinternal then tgfoid::regproc::text else tgname::text end || ' ' || tgenabled::text \
          from pg_trigger t join pg_class c on c.oid = t.tgrelid and c.relnamespace = 'public'::regnamespace \
        union all \
        select 'table ' || oid::regclass || ' identity ' || relreplident::text from pg_class \
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') \
        union all \
        select 'column ' || attrelid::regclass || ' ' || attname || ' not null ' || attnotnull from pg_attribute \
         where attnum > 0 and attrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')) \
    ) lines";
