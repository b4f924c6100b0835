-- Function trunkline.index_ddl(i_index oid)
--
-- How an index comes back as it was: name, tablespace, storage parameters, comment, statistics
-- targets, cluster mark, replica identity, and the constraint on it.
--
-- An index of a partitioned table is made without ONLY when those of the partitions are there: the server
-- then takes each of them in whose definition is the same, and makes one where a partition came later.
--
-- Result: build, statements that make it alone; attach, statements for when all of the table is built.
-- Tables: reads the catalog only.
-- Users may call it: it changes nothing.

create or replace function trunkline.index_ddl(
    i_index oid,
    out build text[],
    out attach text[])
returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v      record;
    v_make text;
begin
    select format('%I.%I', tn.nspname, tc.relname) as tab, format('%I.%I', tn.nspname, ic.relname) as index,
           ic.relname as name, ic.relkind = 'I' as of_parts, i.indisclustered, i.indisreplident, i.indisexclusion,
           i.indisunique, t.spcname, pg_get_indexdef(ic.oid) as definition,
           obj_description(ic.oid, 'pg_class') as comment,
           c.oid as con_oid, c.conname, c.contype, c.condeferrable, c.condeferred,
           obj_description(c.oid, 'pg_constraint') as con_comment
      into v
      from pg_index i
      join pg_class ic on ic.oid = i.indexrelid
      join pg_class tc on tc.oid = i.indrelid
      join pg_namespace tn on tn.oid = tc.relnamespace
      left join pg_tablespace t on t.oid = ic.reltablespace
      left join pg_constraint c on c.conindid = i.indexrelid and c.conrelid = i.indrelid and c.contype in ('p', 'u', 'x')
     where i.indexrelid = i_index;
    build := '{}';
    attach := '{}';
    v_make := case when v.con_oid is not null and (v.of_parts or v.indisexclusion)
                  then format('alter table %s add constraint %I %s', v.tab, v.conname, pg_get_constraintdef(v.con_oid))
                  -- Of a partitioned table's index the server writes that it is made without those of partitions.
                  when v.of_parts
                  then regexp_replace(v.definition, '^(CREATE (?:UNIQUE )?INDEX (?:"(?:[^"]|"")*"|[^ ]+) ON) ONLY ', E'\\1 ')
                  else v.definition end;
    if v.of_parts or v.indisexclusion then
        -- No index can be made into an exclusion constraint afterwards.
        attach := array[v_make];
        if v.spcname is not null then
            attach := format('set local default_tablespace = %L', v.spcname) || attach
                      || 'set local default_tablespace = '''''::text;
        end if;
    else
        build := array[v_make];
        if v.spcname is not null then
            build := format('set local default_tablespace = %L', v.spcname) || build;
        end if;
        if v.con_oid is not null then
            attach := array[format('alter table %s add constraint %I %s using index %I%s%s', v.tab, v.conname,
                case v.contype when 'p' then 'primary key' else 'unique' end, v.name,
                case when v.condeferrable then ' deferrable' else '' end,
                case when v.condeferred then ' initially deferred' else '' end)];
        end if;
    end if;
    if v.con_comment is not null then
        attach := attach || format('comment on constraint %I on %s is %L', v.conname, v.tab, v.con_comment);
    end if;
    if v.comment is not null then
        attach := attach || format('comment on index %s is %L', v.index, v.comment);
    end if;
    if v.indisclustered then
        attach := attach || format('alter table %s cluster on %I', v.tab, v.name);
    end if;
    if v.indisreplident then
        attach := attach || format('alter table %s replica identity using index %I', v.tab, v.name);
    end if;
    attach := attach || array(
        select format('alter index %s alter column %s set statistics %s', v.index, a.attnum, a.attstattarget)
          from pg_attribute a where a.attrelid = i_index and a.attstattarget >= 0 order by a.attnum);
end;
$$;

revoke all on function trunkline.index_ddl(oid) from public;
