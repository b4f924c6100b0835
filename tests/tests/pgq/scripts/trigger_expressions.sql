-- Trigger functions: when= and the expressions for columns of the event.

create schema tt

select pgq.create_queue('tq')

create function tt.show() returns setof text language plpgsql as $$
declare r record;
begin
    for r in execute 'select concat_ws('' | '', coalesce(ev_type, ''NULL''), coalesce(ev_data, ''NULL''), coalesce(ev_extra1, ''NULL''), coalesce(ev_extra2, ''NULL''), coalesce(ev_extra3, ''NULL''), coalesce(ev_extra4, ''NULL'')) as x from ' || pgq.current_event_table('tq') || ' order by ev_id' loop
        return next r.x;
    end loop;
    execute 'delete from ' || pgq.current_event_table('tq');
end $$

create function tt.make(args text, timing text default 'after insert or update or delete', lvl text default 'row') returns void language plpgsql set client_min_messages = warning as $$
declare f text;
begin
    foreach f in array array['logutriga', 'sqltriga', 'jsontriga'] loop
        execute format('drop trigger if exists x_%s on tt.k', f);
        execute format('create trigger x_%s %s on tt.k for each %s execute procedure pgq.%s(%s)', f, timing, lvl, f, args);
    end loop;
end $$

create table tt.k (a int, b text, c text, d text, primary key (a, b))

create function tt.ops() returns setof text language plpgsql as $$
declare s text;
begin
    foreach s in array array['delete from tt.k where a = 99', $q$insert into tt.k values (1, 'x', 'c1', 'd1')$q$, $q$update tt.k set c = 'c2' where a = 1$q$, $q$update tt.k set d = 'd2' where a = 1$q$, $q$update tt.k set d = d where a = 1$q$, $q$update tt.k set c = null, d = 'd3' where a = 1$q$, $q$delete from tt.k$q$] loop
        begin
            return next '-- ' || s;
            execute s;
        exception when others then
            return next sqlstate || ': ' || sqlerrm;
        end;
        return query select '     ' || x from tt.show() x;
    end loop;
    execute 'alter table tt.k disable trigger all; delete from tt.k; alter table tt.k enable trigger all';
end $$

create function tt.try(args text, timing text default 'after insert or update or delete', lvl text default 'row') returns setof text language plpgsql as $$
begin
    begin
        perform tt.make(args, timing, lvl);
    exception when others then
        return next sqlstate || ': ' || sqlerrm;
        return;
    end;
    return query select tt.ops();
end $$

create function tt.one(args text) returns setof text language plpgsql as $$
begin
    perform tt.make(args, 'after insert');
    insert into tt.k values (1, 'x');
    return query select x from tt.show() x limit 1;
    delete from tt.k;
exception when others then
    return next sqlstate || ': ' || sqlerrm;
end $$

select tt.try($$'tq', 'when=a=1'$$)

select tt.try($$'tq', 'when=a <> 1'$$)

select tt.try($$'tq', 'when=c is null'$$)

select tt.try($$'tq', 'when=null'$$)

select tt.try($$'tq', 'when=null::bool'$$)

select tt.try($$'tq', 'when=1'$$)

select tt.try($$'tq', 'when=''t'''$$)

select tt.try($$'tq', 'when=zz=1'$$)

select tt.try($$'tq', 'when='$$)

select tt.try($$'tq', 'when=c = ''c1''', 'when=d = ''d1'''$$)

select tt.try($$'tq', 'when=true', 'when=false'$$)

select tt.try($$'tq', 'when=false', 'when=true'$$)

select tt.try($$'tq', 'when=a=1', 'ignore=c', 'ev_extra1=zz'$$)

select tt.try($$'tq', 'when=generate_series(1,2) > 0'$$)

select tt.try($$'tq', 'when=exists (select 1 from generate_series(1, a))'$$)

select tt.try($$'tq', 'when=a in (1, 2) and b ~ ''^x'' or d like ''%''''%'''$$)

select tt.try($$'tq', 'ev_type=''type '' || c', 'ev_data=upper(c) || a', 'ev_extra1=a * 2', 'ev_extra2=c is null', 'ev_extra3=now() > ''2000-01-01''', 'ev_extra4=null'$$)

select tt.try($$'tq', 'ev_data=a, b'$$)

select tt.try($$'tq', 'ev_data=k.a'$$)

select tt.try($$'tq', 'ev_data=array[a, 2]'$$)

select tt.try($$'tq', 'ev_data=(select max(x) from generate_series(1, a) x)'$$)

select tt.try($$'tq', 'ev_data=generate_series(1, 3)'$$)

select tt.try($$'tq', 'ev_data=(select 1 where false)'$$)

select tt.try($$'tq', 'ev_data=1', 'ev_data=2'$$)

select tt.try($$'tq', 'ev_data='$$)

select tt.try($$'tq', 'ev_data= '$$)

select tt.try($$'tq', 'ev_data=a -- comment'$$)

select tt.try($$'tq', 'ev_data=a /* comment */ + 1'$$)

select tt.try($$'tq', 'ev_data=count(*)'$$)

select tt.try($$'tq', 'ev_extra1=a::text || ''x''', 'ev_extra2=-a', 'ev_extra3=cast(c as text)', 'ev_extra4=coalesce(d, ''none'')'$$)

select tt.try($$'tq', 'ev_extra1=new.a'$$)

select tt.try($$'tq', 'ev_extra1=tt.k'$$)

select tt.try($$'tq', 'backup', 'ev_extra2=''over'''$$)

select tt.try($$'tq', 'ev_extra2=''a b c'''$$)

--! differs expression_names
--! theirs one text
--! theirs XX000: QB: syntax error
--! ours one text
--! ours {"op":"INSERT","table":["tt","k"],"pkey":["a","b"]} | {"a":1,"b":"x","c":null,"d":null} | 1 | NULL | NULL | NULL
select tt.one($$'tq', 'ev_extra1="a"'$$)

--! differs expression_names
--! theirs one text
--! theirs {"op":"INSERT","table":["tt","k"],"pkey":["a","b"]} | {"a":1,"b":"x","c":null,"d":null} | a | NULL | NULL | NULL
--! ours one text
--! ours {"op":"INSERT","table":["tt","k"],"pkey":["a","b"]} | {"a":1,"b":"x","c":null,"d":null} | a | NULL | NULL | NULL
select tt.one($$'tq', 'ev_extra1=$q$a$q$'$$)

select tt.one($$'tq', 'ev_extra1=E''a\\\\tb'''$$)

select tt.try($$'tq', 'ev_type=null', 'ev_data=null', 'ev_extra1=null'$$)

select tt.try($$'tq', 'ev_data=1.50', 'ev_extra2=''{}''::json', 'ev_extra3=row(a,b)', 'ev_extra4=interval ''1 day'''$$)

select tt.try($$'tq', 'ev_data=1/0'$$)

select tt.try($$'tq', 'ev_data=nofunction(a)'$$)

--! differs expression_is_one
--! theirs one text
--! theirs 42601: syntax error at end of input
--! ours one text
--! ours 42601: syntax error at or near "from"
select tt.one($$'tq', 'ev_data=(('$$)

select tt.try($$'tq', 'SKIP', 'ev_extra4=''s'''$$, 'before insert or update or delete')

create function tt.f(int) returns text language sql as 'select ''f'' || $1'

set search_path = tt, public

select tt.try($$'tq', 'ev_data=f(a)', 'when=f(a) = ''f1'''$$)

reset search_path

select tt.try($$'tq', 'ev_data=f(a)'$$)

--! differs expression_is_one
--! theirs one text
--! theirs {"op":"INSERT","table":["tt","k"],"pkey":["a","b"]} | 2 | tt.k | NULL | NULL | NULL
--! ours one text
--! ours 42601: syntax error at or near ";"
select tt.one($$'tq', 'ev_data=a; select 2'$$)

--! differs expression_is_one
--! theirs one text
--! theirs XX000: Expect 1 row from override query, got 0
--! ours one text
--! ours 42601: syntax error at or near "from"
select tt.one($$'tq', 'ev_data=b from tt.k'$$)

--! differs expression_is_one
--! theirs one text
--! theirs 42601: syntax error at or near ")"
--! ours one text
--! ours 42601: subquery in FROM must have an alias
select tt.one($$'tq', 'when=a = 1) or (true'$$)

--! differs expression_names
--! theirs one text
--! theirs 42703: column "a" does not exist
--! ours one text
--! ours {"op":"INSERT","table":["tt","k"],"pkey":["a","b"]} | {"a":1,"b":"x","c":null,"d":null} | 1 | NULL | NULL | NULL
select tt.one($$'tq', 'ev_extra1=A'$$)
