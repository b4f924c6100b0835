-- Function trunkline.capture_sums(i_operation, i_queue_id, i_plan jsonb, i_shape_id, i_new, i_old): the statement that logs the
-- rows of i_new and i_old (newt and oldt, or what stands for them in a row trigger) for a table without a
-- key: old rows are taken away, new ones are added.
--
-- Over a transaction the sum is right in whatever order nested statements log: each row version is once among some
-- statement's new rows when it begins, and once among some statement's old rows when it ends. With the identity
-- insert-only an UPDATE or DELETE is counted and no more. A row that is too large for an event has no key to be fetched by,
-- so then the table must be copied again.
-- Result: SQL that gives the number of events. Tables: none.
-- Users must not: it is a part of trunkline.make_capture.
create or replace function trunkline.capture_sums(
    i_operation text, i_queue_id int4, i_plan jsonb, i_shape_id bigint, i_new text, i_old text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $f$
declare
    v_words record;
    v_mark  text;
    v_fits  text;
    v_terms text[] := '{}';
begin
    select * into v_words from trunkline.capture_words(i_queue_id, i_plan, i_shape_id);
    v_mark := format($q$trunkline.put_%s('trunkline.1.mark', %s, %s, $q$, i_queue_id, v_words.name, v_words.shape);
    v_fits := coalesce(' where not ' || v_words.new_large, '');
    if i_plan ->> 'identity' = 'insert-only' and i_operation <> 'insert' then
        return format($q$select count(%s'ignored', json_build_object('operation', '%s', 'rows', r.n)::text)) from (select count(*) as n from %s) r where r.n > 0$q$,
                      v_mark, i_operation, case i_operation when 'update' then i_new else i_old end || ' x');
    end if;
    if i_operation in ('update', 'delete') then
        v_terms := v_terms || trunkline.capture_blocks(v_words.put, '''minus''',
                                                       format('select %s as x from %s n%s', v_words.new_row, i_old, v_fits), '');
    end if;
    if i_operation in ('update', 'insert') then
        v_terms := v_terms || trunkline.capture_blocks(v_words.put, '''plus''',
                                                       format('select %s as x from %s n%s', v_words.new_row, i_new, v_fits), '');
    end if;
    if v_words.new_large is not null then
        v_terms := v_terms || format(
            $q$(select count(%s'resync', '{"why": "a row whose text may be longer than 900 MB was written, and it has no key to be fetched by"}')) where %s)$q$, v_mark,
            concat_ws(' or ',
                case when i_operation <> 'insert' then format('exists (select from %s n where %s)', i_old, v_words.new_large) end,
                case when i_operation <> 'delete' then format('exists (select from %s n where %s)', i_new, v_words.new_large) end));
    end if;
    return 'select ' || array_to_string(v_terms, ' + ');
end
$f$;
revoke all on function trunkline.capture_sums(text, int4, jsonb, bigint, text, text) from public;
