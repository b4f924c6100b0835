-- Function trunkline.filter_found(i_table oid, i_attnums int2[], i_names text[]): what the server has
-- understood of a filter, after its caller has made an index with the filter as its condition on the table of
-- trunkline.filter_table.
--
-- A filter is evaluated by the role that replay has on the provider. What it calls must not be code that a weaker role may
-- replace: functions and operators that are not built in must belong to a superuser or to that role itself.
--
-- Result: filter, the condition with all names qualified; names and attnums, the columns that it reads.
-- Errors: 0A000 with a reason as the end of a sentence about the filter, and a hint.
-- Tables: reads the catalog only. Runs with the caller's rights. Users may call it.
create or replace function trunkline.filter_found(
    i_table oid, i_attnums int2[] default null, i_names text[] default null,
    out filter text, out names text[], out attnums int2[])
returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_try     oid := to_regclass(format('pg_temp.%I', (select c.relname from pg_class c where c.oid = i_table)));
    v_index   record;
    v_what    text;
    v_problem text;
begin
    -- A condition that is always true is no condition to the server.
    select i.indexrelid, i.indpred into v_index from pg_index i where i.indrelid = v_try;
    filter := pg_get_expr(v_index.indpred, v_try);
    if v_index.indpred::text like '%:varattno 0 %' then
        raise exception 'reads the row as a whole' using errcode = '0A000', hint = 'Name the columns that it is about.';
    end if;
    select array_agg(t.attname::text order by a.attnum), array_agg(a.attnum order by a.attnum)
      into names, attnums
      from pg_depend d
      join pg_attribute t on t.attrelid = v_try and t.attnum = d.refobjsubid
      join pg_attribute a on a.attrelid = i_table and a.attnum > 0 and not a.attisdropped
       and t.attname = coalesce(i_names[array_position(i_attnums, a.attnum)], a.attname)
       and (i_attnums is null or a.attnum = any (i_attnums))
     where d.classid = 'pg_class'::regclass and d.objid = v_index.indexrelid
       and d.refclassid = 'pg_class'::regclass and d.refobjid = v_try and d.refobjsubid > 0;
    if filter is null or names is null then
        raise exception 'reads no column of the table' using errcode = '0A000', hint = 'Leave it out, or name a column.';
    end if;
    select quote_ident(a.attname), f.problem into v_what, v_problem
      from pg_attribute a cross join lateral trunkline.filter_type(a.atttypid) f
     where a.attrelid = i_table and a.attnum = any (attnums) and f.problem is not null
     order by a.attnum limit 1;
    if found then
        raise exception 'reads column %, which %', v_what, v_problem using errcode = '0A000',
            hint = 'To read such a value from its text could run the code of the type''s owner.';
    end if;
    select format_type(t.oid, null) into v_what
      from pg_depend d join pg_type t on t.oid = d.refobjid
     where d.classid = 'pg_class'::regclass and d.objid = v_index.indexrelid
       and d.refclassid = 'pg_type'::regclass and t.typtype not in ('b', 'e')
       and t.typnamespace <> 'pg_catalog'::regnamespace;
    if found then
        raise exception 'makes values of type %', v_what using errcode = '0A000',
            hint = 'To make such a value could run the code of the type''s owner; cast to the type that it is made of.';
    end if;
    select format('%s, which belongs to %I', p.oid::regprocedure, pg_get_userbyid(p.proowner)) into v_what
      from pg_depend d
      left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
      join pg_proc p on p.oid = case when d.refclassid = 'pg_proc'::regclass then d.refobjid else o.oprcode end
      join pg_roles r on r.oid = p.proowner
     where d.classid = 'pg_class'::regclass and d.objid = v_index.indexrelid
       and not r.rolsuper and r.rolname <> current_user
     order by p.oid limit 1;
    if found then
        raise exception 'calls function %', v_what using errcode = '0A000',
            hint = format('That role could change what the function does, and it would run as %I.', current_user);
    end if;
end
$$;
revoke all on function trunkline.filter_found(oid, int2[], text[]) from public;
grant execute on function trunkline.filter_found(oid, int2[], text[]) to pgq_admin;
