-- Function trunkline.bound_values(i_bound): the values in a partition's bound: {"in": [values]} of a list, null for NULL;
-- {"from": [...], "to": [...]} of a range, with {"end": "min"} for MINVALUE and {"end": "max"} for MAXVALUE.
-- Arguments: the bound as the server writes it, with standard_conforming_strings on. Result: jsonb; null for any other bound.
create or replace function trunkline.bound_values(i_bound text) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_token  record;
    v_value  jsonb;
    v_lists  jsonb := '{}';
    v_words  text := '';
    v_inside bool := false;
    v_wanted bool := false;
begin
    for v_token in
        select t.m[1] as quoted, t.m[2] as word
          from regexp_matches(i_bound, $r$'((?:[^']|'')*)'|([^\s(),']+|[(),])$r$, 'g') t (m)
    loop
        if v_token.word = '(' and not v_inside then
            v_inside := true;
            v_wanted := true;
            v_value := '[]';
        elsif v_token.word = ')' and v_inside and not v_wanted then
            v_inside := false;
            v_lists := v_lists || jsonb_build_object(lower(regexp_replace(v_words, '^.* ', '')), v_value);
        elsif v_token.word = ',' and v_inside and not v_wanted then
            v_wanted := true;
        elsif not v_inside and v_token.word ~ '^[A-Z]+$' then
            v_words := concat_ws(' ', nullif(v_words, ''), v_token.word);
        elsif v_inside and v_wanted then
            v_wanted := false;
            v_value := v_value || jsonb_build_array(case
                when v_token.quoted is not null then to_jsonb(replace(v_token.quoted, $q$''$q$, $q$'$q$))
                when v_token.word = 'NULL' then 'null'::jsonb
                when v_token.word in ('MINVALUE', 'MAXVALUE') then jsonb_build_object('end', lower(left(v_token.word, 3)))
                else to_jsonb(v_token.word) end);
        else
            return null;
        end if;
    end loop;
    if v_words in ('FOR VALUES IN', 'FOR VALUES FROM TO') and not v_inside then
        return v_lists;
    end if;
    return null;
end
$$;
revoke all on function trunkline.bound_values(text) from public;

-- Function trunkline.part_within(i_part oid): what each level asks of the rows of a partition, as part_facts gives it: a list of
-- {"columns": [{"name", "type"}], ...} with "in", "from" and "to", or, of a default partition, "not" with what the others
-- beside it take. Null where a bound is written in a way that is not known here.
-- Arguments: a partition by columns of built-in types. Result: jsonb. Tables: reads the catalog only.
create or replace function trunkline.part_within(i_part oid) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 1
set bytea_output = 'hex'
set lc_monetary = 'C'
set quote_all_identifiers = off
set standard_conforming_strings = on
as $$
declare
    v_level   record;
    v_bound   jsonb;
    v_columns jsonb;
    v_unknown bool;
    v_within  jsonb := '[]';
begin
    for v_level in
        select i.inhparent, pg_get_expr(c.relpartbound, c.oid) as bound
          from trunkline.ancestors(i_part) a
          join pg_class c on c.oid = a and c.relispartition
          join pg_inherits i on i.inhrelid = a
    loop
        if v_level.bound = 'DEFAULT' then
            select jsonb_build_object('not', coalesce(jsonb_agg(trunkline.bound_values(b.bound)), '[]')),
                   bool_or(trunkline.bound_values(b.bound) is null)
              into v_bound, v_unknown
              from pg_inherits i
              join pg_class c on c.oid = i.inhrelid
             cross join lateral pg_get_expr(c.relpartbound, c.oid) b (bound)
             where i.inhparent = v_level.inhparent and b.bound <> 'DEFAULT';
            if v_unknown then
                return null;
            end if;
        else
            v_bound := trunkline.bound_values(v_level.bound);
        end if;
        select jsonb_agg(jsonb_build_object('name', t.attname, 'type', format_type(t.atttypid, -1)) order by k.place)
          into v_columns
          from pg_partitioned_table p
         cross join lateral unnest(p.partattrs::int2[]) with ordinality k (attnum, place)
          join pg_attribute t on t.attrelid = p.partrelid and t.attnum = k.attnum
         where p.partrelid = v_level.inhparent;
        if v_bound is null or v_columns is null then
            return null;
        end if;
        v_within := v_within || jsonb_build_array(jsonb_build_object('columns', v_columns) || v_bound);
    end loop;
    return nullif(v_within, '[]');
end
$$;
revoke all on function trunkline.part_within(oid) from public;

-- Function trunkline.part_facts(i_part oid): what tells a partition's rows from the others', as capture reads
-- them and as a mark says it.
--
-- "within" says it as values and names of columns, a list of what each level asks for (sql/FORMAT.md): a reader makes a
-- condition of it for his own table. "where" is the partition's own constraint, for capture alone: no event holds SQL. Both
-- are null where they would not say the same elsewhere: hash partitions (their function names the parent's oid), keys that
-- are expressions or of types that are not built in (a reader would run functions that a user made), classes of operators
-- that are not the type's default, and ranges of text in a collation that two servers may order differently.
-- Result: {"part": {"schema", "name"}, "bound", "where", "within"}. Tables: reads the catalog only. Users
-- must not: nothing to fear.
create or replace function trunkline.part_facts(i_part oid) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 1
set bytea_output = 'hex'
set lc_monetary = 'C'
set quote_all_identifiers = off
set standard_conforming_strings = on
as $$
    select jsonb_build_object(
        'part', jsonb_build_object('schema', n.nspname, 'name', c.relname),
        'bound', pg_get_expr(c.relpartbound, c.oid),
        'where', case when w.within is not null then pg_get_partition_constraintdef(i_part) end,
        'within', w.within)
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     cross join lateral (select case when not exists (
            select from trunkline.ancestors(i_part) a
              join pg_partitioned_table p on p.partrelid = a and a <> i_part
              cross join lateral unnest(p.partattrs::int2[], p.partclass::oid[], p.partcollation::oid[]) k (attnum, opclass, coll)
              left join pg_attribute t on t.attrelid = p.partrelid and t.attnum = k.attnum and k.attnum <> 0
              left join pg_type y on y.oid = t.atttypid and y.typnamespace = 'pg_catalog'::regnamespace
              left join pg_opclass o on o.oid = k.opclass and o.opcnamespace = 'pg_catalog'::regnamespace and o.opcdefault
              left join pg_collation l on l.oid = k.coll
             where p.partstrat not in ('l', 'r') or y.oid is null or o.oid is null
                or (k.coll <> 0 and case when p.partstrat = 'r' then l.collname not in ('C', 'POSIX')
                                         else coalesce(to_jsonb(l) ->> 'collisdeterministic', 'true') <> 'true' end))
            then trunkline.part_within(i_part) end) w (within)
     where c.oid = i_part;
$$;
revoke all on function trunkline.part_facts(oid) from public;
