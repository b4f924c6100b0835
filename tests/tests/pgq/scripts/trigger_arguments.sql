-- Trigger functions: all arguments but expressions, and their errors.

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

select tt.try($$'tq'$$)

select tt.try($$'tq'$$, 'before insert or update or delete')

select tt.try($$'tq', 'backup'$$)

select tt.try($$'tq', 'ignore=c'$$)

select tt.try($$'tq', 'ignore=c,d', 'backup'$$)

select tt.try($$'tq', 'ignore=a'$$)

select tt.try($$'tq', 'ignore=zz'$$)

select tt.try($$'tq', 'ignore='$$)

select tt.try($$'tq', 'ignore=c', 'ignore=d'$$)

select tt.try($$'tq', 'ignore=c , d'$$)

select tt.try($$'tq', 'ignore=c,'$$)

select tt.try($$'tq', 'ignore="c"'$$)

select tt.try($$'tq', 'ignore=C'$$)

select tt.try($$'tq', 'pkey=b,a'$$)

select tt.try($$'tq', 'pkey=zz'$$)

select tt.try($$'tq', 'pkey='$$)

select tt.try($$'tq', 'pkey=b', 'pkey=a'$$)

select tt.try($$'tq', 'pkey=a,a'$$)

select tt.try($$'tq', 'pkey= b , a '$$)

select tt.try($$'tq', 'pkey=a,zz'$$)

select tt.try($$'tq', 'deny'$$)

select tt.try($$'tq', 'deny', 'SKIP'$$, 'before insert or update or delete')

select tt.try($$'tq', 'SKIP'$$, 'before insert or update or delete')

select tt.try($$'tq', 'SKIP'$$)

select tt.try($$'tq', 'SKIP', 'backup', 'ignore=d'$$, 'before insert or update or delete')

select tt.try($$'tq', 'skip'$$)

select tt.try($$'tq', 'DENY'$$)

select tt.try($$'tq', 'Backup'$$)

select tt.try($$'tq', 'backup=1'$$)

select tt.try($$'tq', 'deny=1'$$)

select tt.try($$'tq', 'SKIP=1'$$, 'before insert or update or delete')

select tt.try($$'tq', ''$$)

select tt.try($$'tq', 'foo'$$)

select tt.try($$'tq', 'foo=bar'$$)

select tt.try($$'tq', ' backup'$$)

select tt.try($$'tq', '=x'$$)

select tt.try($$'tq', 'ev_id=7'$$)

select tt.try($$'tq', 'ev_time=now()'$$)

select tt.try($$'tq', 'EV_DATA=7'$$)

select tt.try($$$$)

select tt.try($$'nope'$$)

select tt.try($$''$$)

select tt.try($$'TQ'$$)

select tt.try($$'tq'$$, 'after update or delete', 'statement')

select tt.try($$'tq', 'foo'$$, 'after delete', 'statement')

select tt.try($$$$, 'after delete', 'statement')

select tt.try($$'tq', 'when=false', 'deny'$$)

select tt.try($$'tq', 'when=false', 'SKIP'$$, 'before insert or update or delete')

select tt.try($$'nope', 'deny', 'SKIP'$$)

select tt.try($$'tq', 'deny', 'pkey='$$)

select tt.try($$'tq', 'SKIP', 'pkey='$$)

select tt.try($$'tq', 'when=null::bool', 'pkey='$$)

select tt.try($$'tq', 'when=false', 'pkey='$$)

select tt.try($$'nope', 'when=false'$$)

select tt.try($$'nope', 'ignore=c'$$)
