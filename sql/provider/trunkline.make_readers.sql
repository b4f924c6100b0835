-- Function trunkline.make_readers(i_plan jsonb): makes or replaces the functions by which a table is read as its owner, where
-- its plan says so (trunkline.reader); else drops them.
--
--  * trunkline.live_<oid>(key columns): the rows with a key as the snapshot shows them: x the row's text, null if it is too large
--    for an event; written the transaction that wrote it.
--  * trunkline.ask_<oid>(query): the rows of a query, an array of texts each.
-- Both belong to the table's owner and run as he does. He may alter what belongs to him, so they look who they run as before
-- they plan anything, and everything there has its schema, whatever search_path he gives them.
--
-- A SET that is not LOCAL, in code that planning a query on his table runs, outlives his function and the SET clauses of all that
-- called it: capture would go on in a search_path of his, with the rights of who installed it. So the last
-- thing that these functions do is to look at the search_path. Who has changed it there fails the statement:
-- it is no accident.
-- Tables: creates functions. Users must not: it is a part of trunkline.make_capture.
create or replace function trunkline.make_readers(i_plan jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_owner    text;
    v_name     text;
    v_keys     text;
    v_config   text[] := array['search_path=pg_catalog, pg_temp'];
    v_function regprocedure;
    v_made     regprocedure[] := '{}';
    v_check    text := format($f$
    if current_user operator(pg_catalog.<>) (select pg_catalog.pg_get_userbyid(c.relowner) from pg_catalog.pg_class c
                                              where c.oid operator(pg_catalog.=) %s::pg_catalog.oid) then
        raise exception 'this function of capture does not run as the owner of its table' using errcode = '42501';
    end if;$f$, i_plan ->> 'oid');
begin
    if i_plan ->> 'reader' = 'owner' then
        select pg_get_userbyid(c.relowner) into v_owner from pg_class c where c.oid = (i_plan ->> 'oid')::oid;
        v_name := format('trunkline.ask_%s(text)', i_plan ->> 'oid');
        perform trunkline.make_function(v_name, format($f$
create or replace function trunkline.ask_%s(i_query text) returns setof text[]
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
$f$, i_plan ->> 'oid'), format($f$
begin%s
    return query execute i_query;%s
end
$f$, v_check, trunkline.path_unchanged(i_plan)), v_config);
        v_made := v_made || to_regprocedure(v_name);
        if jsonb_typeof(i_plan -> 'keys') = 'array' then
            select format('trunkline.live_%s(%s)', i_plan ->> 'oid', string_agg(k.type, ', ' order by k.place)),
                   string_agg(format('i_k%s %s', k.place, k.type), ', ' order by k.place)
              into v_name, v_keys
              from trunkline.reader_keys(i_plan) k;
            perform trunkline.make_function(v_name, format($f$
create or replace function trunkline.live_%s(%s, out x text, out written pg_catalog.xid) returns setof record
language plpgsql stable security definer rows 1
set search_path = pg_catalog, pg_temp
$f$, i_plan ->> 'oid', v_keys), trunkline.live_reader(i_plan, v_check), v_config);
            v_made := v_made || to_regprocedure(v_name);
        end if;
        foreach v_function in array v_made loop
            if v_owner <> (select pg_get_userbyid(p.proowner) from pg_proc p where p.oid = v_function) then
                execute format('alter function %s owner to %I', v_function, v_owner);
            end if;
        end loop;
    end if;
    for v_function in
        select p.oid from pg_proc p
         where p.pronamespace = 'trunkline'::regnamespace
           and p.proname in (format('live_%s', i_plan ->> 'oid'), format('ask_%s', i_plan ->> 'oid'))
           and p.oid <> all (v_made::oid[])
    loop
        execute format('drop function %s', v_function);
    end loop;
end
$$;
revoke all on function trunkline.make_readers(jsonb) from public;

-- Function trunkline.live_reader(i_plan jsonb, i_check text): the body of trunkline.live_<oid>.
--
-- A value that is stored small may be longer than a text can be (trunkline.text_bytes): a row with one is made under
-- an exception block.
create or replace function trunkline.live_reader(i_plan jsonb, i_check text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_words   record;
    v_matched text;
begin
    select * into v_words from trunkline.capture_words(0, i_plan, 0);
    select string_agg(format('t.%s %s i_k%s', k.name, k.operator, k.place), ' and ' order by k.place) into v_matched
      from trunkline.reader_keys(i_plan) k;
    return format($f$
#variable_conflict use_variable
declare
    v_row record;
begin%1$s
    for v_row in
        select case when %2$s then null else %3$s end as line, %2$s as large, t.xmin as written, t.ctid as place
          from %4$s t where %5$s
    loop
        x := v_row.line;
        written := v_row.written;
        if v_row.large then
            begin
                x := (select case when not %6$s then %3$s end from %4$s t where t.ctid operator(pg_catalog.=) v_row.place and %5$s);
            exception when internal_error or program_limit_exceeded or out_of_memory then
                x := null;
            end;
        end if;
        return next;
    end loop;%7$s
end
$f$, i_check, coalesce(v_words.read_may_be_large, 'false'), v_words.live_row, v_words.source, v_matched,
        coalesce(v_words.read_large, 'false'), trunkline.path_unchanged(i_plan));
end
$$;
revoke all on function trunkline.live_reader(jsonb, text) from public;

-- Function trunkline.reader_keys(i_plan jsonb): the key columns of a plan, as SQL compares them, with the
-- types that trunkline.live_<oid> takes: what a domain is made of, because a value that becomes one of a
-- domain is checked, by functions that a user made.
create or replace function trunkline.reader_keys(i_plan jsonb, out place bigint, out name text, out operator text, out type text)
returns setof record
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    select k.place, format('%I%s', k.key ->> 'name', '::' || (k.key ->> 'base')), k.key ->> 'operator', format_type(trunkline.base_type(a.atttypid), -1)
      from jsonb_array_elements(i_plan -> 'keys') with ordinality k (key, place)
      join pg_attribute a on a.attrelid = (i_plan ->> 'oid')::oid and a.attnum = (k.key ->> 'attnum')::int2;
end
$$;
revoke all on function trunkline.reader_keys(jsonb) from public;

-- Function trunkline.path_unchanged(i_plan jsonb): the last look of the functions of trunkline.make_readers:
-- whether the search_path is still theirs. It runs as the owner, and all names in it have their schema.
create or replace function trunkline.path_unchanged(i_plan jsonb) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select format($f$
    if pg_catalog.current_setting('search_path') operator(pg_catalog.<>) 'pg_catalog, pg_temp' then
        raise exception 'code of the owner of table %%, run by reading it, has changed the search_path',
            (select pg_catalog.format('%%I.%%I', n.nspname, c.relname) from pg_catalog.pg_class c
               join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
              where c.oid operator(pg_catalog.=) %s::pg_catalog.oid)
            using errcode = '42501', hint = 'Look at the functions in its indexes, checks and statistics.';
    end if;$f$, i_plan ->> 'oid');
$$;
revoke all on function trunkline.path_unchanged(jsonb) from public;
