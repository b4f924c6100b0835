-- Function trunkline.target_facts(i_schema, i_table, i_provider_oid)
--
-- The facts beside columns that replay needs to write a subscriber's table.
--
-- Arguments: the table, and the number on the provider of the one that is written to it.
-- Result: one row.
--   takes_copy   COPY does to it what INSERT does. Not so where a rule of the subscriber's
--                acts on a replica's INSERT: COPY passes rules by
--   other        another table that is written to a table of that name by choice (replay add --as), or with others
--                (--merge); null if there is none. Not for a table that has such a condition itself
-- Tables: reads trunkline.table_state and the catalog.

create or replace function trunkline.target_facts(
    i_schema text,
    i_table text,
    i_provider_oid oid,
    out takes_copy boolean,
    out other text)
returns record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    select not exists (select from pg_rewrite r
                         join pg_class c on c.oid = r.ev_class
                         join pg_namespace n on n.oid = c.relnamespace
                        where n.nspname = i_schema and c.relname = i_table and r.ev_enabled in ('A', 'R')),
           coalesce(
               (select s.schema_name || '.' || s.table_name
                  from trunkline.table_state s
                 where s.target_name is not null and s.provider_oid <> i_provider_oid
                   and coalesce(s.target_schema, s.schema_name) = i_schema and coalesce(s.target_name, s.table_name) = i_table
                 limit 1),
               -- By the index of merged tables: nobody pays for this who has none.
               (select s.schema_name || '.' || s.table_name
                  from trunkline.table_state s
                 where s.merge_filter is not null
                   and coalesce(s.target_schema, s.schema_now, s.schema_name) = i_schema
                   and coalesce(s.target_name, s.name_now, s.table_name) = i_table
                 limit 1))
      into takes_copy, other;
end
$$;

revoke all on function trunkline.target_facts(text, text, oid) from public;
