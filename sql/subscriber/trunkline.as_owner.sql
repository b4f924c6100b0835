-- Function trunkline.as_owner(i_owner oid, i_statement text, i_reads boolean, i_values text[]): runs a
-- statement as the owner of the tables that it names, so that what the owner has put on them cannot take the
-- rights of the session.
--
-- Arguments: i_owner the role; i_statement one statement, all of whose names are qualified; i_reads its rows
-- are wanted: it has one column of type text.
-- i_values what it names ($1)[1], ($1)[2] and so on.
-- Result: its rows; else one row, the number of rows that it touched.
-- Errors: those of the statement. 42501 where the server is too old for it (trunkline.has_gate).
-- Tables: those of the statement. Users must not: it is replay's.
--
-- The simple way is SET ROLE. It is no boundary: the owner's code says `reset role`. A function of the
-- owner's that is SECURITY DEFINER refuses that, and is no boundary either. The code in it may open a cursor
-- WITH HOLD or queue a deferred trigger, which run at the commit as the role of the session; it may put other
-- statements under the names of the session's prepared ones; and a search_path that it sets stays when it has
-- returned.
-- The server has a boundary of its own, for the code that it runs as a table's owner when a superuser builds an index: a
-- security-restricted operation. In it roles, cursors WITH HOLD, deferred triggers, prepared statements, temporary tables, LISTEN
-- and DISCARD are refused, and all settings are as before when it ends. The cheapest one that SQL can ask for is the summary
-- of a BRIN index. So the owner has a temporary table of one row with an index on trunkline.gate(one), which is
-- asked to summarize that row: it calls the function, and the function runs the statement.
--
-- The owner's code may change that table and its index, and give them other names, because they are the
-- owner's. So each call proves them: the index stands on a table of this owner and calls trunkline.gate
-- alone, and the tables of answers are the current role's. What the index calls then runs as the owner, and
-- nobody else's code runs until the call ends. Whether the statement was run is asked of a sequence that says
-- "no" when the call begins. A gate that did not run it is made anew once; after that it is an error. The
-- answer is emptied before each read. The owner's code can still change what is said of the owner's own
-- tables, as a trigger can.
create or replace function trunkline.as_owner(i_owner oid, i_statement text, i_reads boolean default false, i_values text[] default '{}')
returns setof text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_index   oid := to_regclass(format('pg_temp.trunkline_gate_%s_one', i_owner));
    v_touched int8;
    v_lines   int8;
begin
    if not pg_has_role(i_owner, 'usage') then
        raise exception 'permission denied to act as role %, whose table it is', pg_get_userbyid(i_owner) using errcode = '42501';
    end if;
    -- Asked by itself, because in the query it may be computed for each index of the database.
    if pg_get_indexdef(v_index, 1, false) is distinct from 'trunkline.gate(one)'
       or not exists (
           select from pg_index i join pg_class g on g.oid = i.indrelid
             join pg_class a on a.oid = to_regclass('pg_temp.trunkline_answer') and pg_get_userbyid(a.relowner) = current_user
             join pg_class t on t.oid = to_regclass('pg_temp.trunkline_touched') and pg_get_userbyid(t.relowner) = current_user
            where i.indexrelid = v_index and g.relowner = i_owner and i.indnatts = 1 and i.indpred is null)
    then
        v_index := trunkline.make_gate(i_owner);
    end if;
    if i_reads then
        -- The table is not emptied at each commit, because that takes longer than all other work here.
        if pg_relation_size('pg_temp.trunkline_answer') > 100000 then
            truncate pg_temp.trunkline_answer;
        else
            delete from pg_temp.trunkline_answer;
        end if;
    end if;
    for v_try in 1..2 loop
        perform setval('pg_temp.trunkline_touched', 1, false), set_config('trunkline.request', i_statement, true),
                set_config('trunkline.reads', i_reads::text, true), set_config('trunkline.values', i_values::text, true);
        perform brin_summarize_range(v_index, 0);
        perform set_config('trunkline.request', '', true);
        v_touched := (select s.last_value - 1 from pg_temp.trunkline_touched s where s.is_called);
        exit when v_touched is not null;
        -- A statement that fails leaves a summary that is not complete, where the gate was not made by the
        -- transaction that is rolled back.
        if v_try = 2 then
            raise exception 'the statement was not run as role %', pg_get_userbyid(i_owner);
        end if;
        v_index := trunkline.make_gate(i_owner);
    end loop;
    perform brin_desummarize_range(v_index, 0);
    -- The owner's code may have set them otherwise, for the whole transaction. An ordinary session of
    -- replay's has deferred all; where a replica needs it, it says so of each table (trunkline.acting_role).
    if current_setting('session_replication_role') <> 'replica' then
        set constraints all deferred;
    end if;
    if not i_reads then
        return next v_touched::text;
        return;
    end if;
    return query select a.line from pg_temp.trunkline_answer a;
    get diagnostics v_lines = row_count;
    if v_lines <> v_touched then
        raise exception 'code of role % has put lines that the statement did not give into its answer', pg_get_userbyid(i_owner)
            using errcode = '42501';
    end if;
end
$$;
revoke all on function trunkline.as_owner(oid, text, boolean, text[]) from public;

-- Function trunkline.make_gate(i_owner oid): makes the session's gate of a role anew: see trunkline.as_owner.
-- The number of its index. The role needs USAGE on schema trunkline and EXECUTE on the gate's functions
-- there, and gets both for good; they open nothing by themselves.
create or replace function trunkline.make_gate(i_owner oid) returns oid
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_name  text := format('trunkline_gate_%s', i_owner);
    v_owner text := pg_get_userbyid(i_owner);
begin
    if not trunkline.has_gate() then
        raise exception 'tables of role % cannot be written safely by this minor release of the server', v_owner
            using errcode = '42501', hint = 'Bring the server to the last minor release of its version, or have the table owned by replay''s role.';
    end if;
    if coalesce(current_setting('trunkline.own_path', true), '') = '' then
        perform set_config('trunkline.own_path', trunkline.own_path(), false);
    end if;
    -- Two at a time would be an error: they write the same row of the catalog.
    if not (has_schema_privilege(i_owner, 'trunkline', 'usage') and has_function_privilege(i_owner, 'trunkline.gate(int)', 'execute')
            and has_function_privilege(i_owner, 'trunkline.serve()', 'execute')) then
        perform pg_advisory_xact_lock(hashtext('trunkline.copy owner'));
        execute format('grant usage on schema trunkline to %I', v_owner);
        execute format('grant execute on function trunkline.gate(int), trunkline.serve() to %I', v_owner);
    end if;
    -- Settings of the database may hold a request that nobody made; the new index calls the gate.
    perform set_config('trunkline.request', '', true);
    if exists (select from pg_class c where c.oid = to_regclass(format('pg_temp.%I', v_name)) and c.relkind = 'r' and c.relowner = i_owner) then
        execute format('drop table pg_temp.%I', v_name);
    end if;
    perform trunkline.free_temporary(array[v_name, v_name || '_one', 'trunkline_answer', 'trunkline_touched']);
    create temporary table if not exists trunkline_answer (line text);
    create temporary sequence if not exists trunkline_touched;
    execute format('grant insert on pg_temp.trunkline_answer to %I', v_owner);
    execute format('grant update on sequence pg_temp.trunkline_touched to %I', v_owner);
    execute format('create temporary table %I as select 1 as one', v_name);
    execute format('alter table pg_temp.%I owner to %I', v_name, v_owner);
    execute format('create index %I on pg_temp.%I using brin (trunkline.gate(one))', v_name || '_one', v_name);
    perform brin_desummarize_range(to_regclass(format('pg_temp.%I', v_name || '_one')), 0);
    return to_regclass(format('pg_temp.%I', v_name || '_one'));
end
$$;
revoke all on function trunkline.make_gate(oid) from public;

-- Function trunkline.free_temporary(i_names text[]): gives other names to what other roles have in the
-- session's temporary schema under these, so that a table that is found or made under one of them is the
-- current role's.
--
-- Code of an owner can make no temporary table while it is held in, but it can rename the gate, and give it
-- indexes and constraints; and it can make types. Renamed and not dropped: something of the owner's may
-- depend on it.
create or replace function trunkline.free_temporary(i_names text[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
    v_one record;
begin
    for v_one in
        select case c.relkind when 'c' then 'type' when 'i' then 'index' else 'table' end as kind, c.relname as name
          from pg_class c
         where c.relnamespace = pg_my_temp_schema() and c.relname = any (i_names::name[]) and pg_get_userbyid(c.relowner) <> current_user
        union all
        select 'type', t.typname
          from pg_type t
         where t.typnamespace = pg_my_temp_schema() and t.typname = any (i_names::name[]) and t.typrelid = 0
           and pg_get_userbyid(t.typowner) <> current_user
    loop
        execute format('alter %s pg_temp.%I rename to %I', v_one.kind, v_one.name,
                       'trunkline_not_ours_' || md5(concat(v_one.name, random(), clock_timestamp())));
    end loop;
end
$$;
revoke all on function trunkline.free_temporary(text[]) from public;

-- Function trunkline.has_gate(): whether the server restricts what the summary of a BRIN index calls, as it
-- does since the minor releases of May 2022 (CVE-2022-1552).
create or replace function trunkline.has_gate() returns bool
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select v >= 150000 or v / 10000 = 14 and v >= 140003 or v / 10000 = 13 and v >= 130007 or v / 10000 = 12 and v >= 120011
        or v / 10000 = 11 and v >= 110016 or v / 10000 = 10 and v >= 100021
      from (select current_setting('server_version_num')::int) s (v);
$$;
revoke all on function trunkline.has_gate() from public;

-- Function trunkline.gate(i_one int): runs what trunkline.as_owner asks for; gives back its argument.
-- Immutable in name only, as an index asks for. An owner may call it: it runs what the caller's session asks
-- for, as the caller.
create or replace function trunkline.gate(i_one int) returns int
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    perform trunkline.serve();
    return i_one;
end
$$;
revoke all on function trunkline.gate(int) from public;

-- Function trunkline.serve(): runs the session's request and writes its answer. It has no search_path of its own: the statement's
-- triggers find what they name as in any other session of the database.
create or replace function trunkline.serve() returns void
language plpgsql volatile
as $$
declare
    v_request pg_catalog.text := pg_catalog.current_setting('trunkline.request', true);
    v_line    pg_catalog.text;
    v_touched pg_catalog.int8 := 0;
begin
    if v_request is null or v_request operator(pg_catalog.=) '' then
        return;
    end if;
    if current_user operator(pg_catalog.=) session_user then
        raise exception 'the gate does not run as the owner of its table' using errcode = '42501';
    end if;
    -- A request is served once, whatever else the gate's table holds.
    perform pg_catalog.set_config('trunkline.request', '', true),
            pg_catalog.set_config('search_path', pg_catalog.current_setting('trunkline.own_path'), true);
    if pg_catalog.current_setting('trunkline.reads') operator(pg_catalog.=) 'true' then
        for v_line in execute v_request loop
            insert into pg_temp.trunkline_answer (line) values (v_line);
            v_touched := v_touched operator(pg_catalog.+) 1;
        end loop;
    else
        execute v_request using pg_catalog.current_setting('trunkline.values')::pg_catalog.text[];
        get diagnostics v_touched = row_count;
    end if;
    -- A sequence begins with 1.
    perform pg_catalog.setval('pg_temp.trunkline_touched', v_touched operator(pg_catalog.+) 1);
end
$$;
revoke all on function trunkline.serve() from public;

-- Function trunkline.digest_as(i_schema, i_name, i_columns text[], i_owner oid): trunkline.digest, with the
-- table read as its owner (see trunkline.as_owner); as the current role where i_owner is null.
create or replace function trunkline.digest_as(i_schema text, i_name text, i_columns text[], i_owner oid, out rows bigint, out sum numeric)
returns record
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, MDY'
set intervalstyle = 'postgres'
set timezone = 'UTC'
set extra_float_digits = 0
set bytea_output = 'hex'
set lc_monetary = 'C'
set quote_all_identifiers = off
as $$
begin
    if i_owner is null then
        select d.rows, d.sum into rows, sum from trunkline.digest(i_schema, i_name, i_columns) d;
    else
        select split_part(a.line, ' ', 1)::bigint, split_part(a.line, ' ', 2)::numeric into rows, sum
          from trunkline.as_owner(i_owner, format('select q.n || '' '' || q.s from (%s) q (n, s)',
                                                  trunkline.digest_query(i_schema, i_name, i_columns)), true) a (line);
    end if;
end
$$;
revoke all on function trunkline.digest_as(text, text, text[], oid) from public;
