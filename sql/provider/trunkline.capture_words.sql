-- Function trunkline.capture_words(i_queue_id, i_plan jsonb, i_shape_id): the pieces of SQL that capture statements of a
-- table are put together from.
--
-- Rows stand behind the alias n (new), o (old), t (the table) or d (keys, as columns k1, k2, ...), so that no column can
-- hide a name of ours.
--
-- Result: name, shape     constants
--         put             a call of put_N up to the shape, for trunkline.capture_blocks
--         new_row, old_row, live_row     a row's text
--         old_key, new_key, read_key     a key's text, read_key of d
--         keys            the key columns of o, named as those of d
--         same, matched   key of o equals that of n, key of t equals that of d
--         pair            a key of d whose columns have the table's names; old_pair, new_pair: of o and n
--         plain_key       an array can be made of any of its values, and compares them as the key does (values that are
--                         arrays would have to be alike)
--         source          the table as FROM wants it
--         new_large, live_large     whether a row is too large for an event; null if none can be
--         may_be_large    true where new_large may be, with as few expressions as can be; null likewise
--         read_may_be_large, read_large     the same of t without a function of ours; read_large fails for a value without a text
--         record_row, record_key, record_same, record_may_be_large     new_row, old_key, same and may_be_large of the records NEW
--                         and OLD of a row trigger
-- Tables: none. Users must not: it is a part of trunkline.make_capture.
create or replace function trunkline.capture_words(
    i_queue_id int4, i_plan jsonb, i_shape_id bigint,
    out name text, out shape text, out put text, out new_row text, out old_row text, out live_row text, out old_key text,
    out new_key text, out read_key text, out keys text, out same text, out matched text, out pair text, out source text,
    out new_large text, out live_large text, out old_pair text, out new_pair text, out plain_key bool,
    out may_be_large text, out read_may_be_large text, out read_large text,
    out record_row text, out record_key text, out record_same text, out record_may_be_large text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    v_keys jsonb := nullif(i_plan -> 'keys', 'null');
    -- pglz stores at most 90 bytes in one, lz4 255.
    v_compressed text := case when exists (select from pg_proc p where p.proname = 'pg_column_compression')
        then 'case pg_column_compression(%1$s.%2$I) when ''lz4'' then 250000 else 1000000 end' else '1000000' end;
begin
    name := format('%L', format('%I.%I', i_plan ->> 'schema', i_plan ->> 'name'));
    shape := format('%L', i_shape_id::text);
    put := format($f$put_%s('trunkline.1.rows', %s, %s$f$, i_queue_id, name, shape);
    source := format('%s%I.%I', case when (i_plan ->> 'partitioned')::bool then '' else 'only ' end,
                     i_plan ->> 'schema', i_plan ->> 'name');
    select string_agg(format('n.%I', c.col ->> 'name'), ', ' order by c.place),
           string_agg(format('new.%I', c.col ->> 'name'), ', ' order by c.place) into new_row, record_row
      from jsonb_array_elements(i_plan -> 'columns') with ordinality c (col, place);
    new_row := format('row(%s)::text', new_row);
    -- The record as it is has the same text, and takes 5 to 10 thousand instructions less than a row made of its
    -- columns. Generated columns are in the one only. No cast: the table's owner can make one of its row type, which
    -- would run as we do; and with its schema no column can stand for the function.
    record_row := case when jsonb_array_length(i_plan -> 'columns') > 0
                        and jsonb_array_length(i_plan -> 'columns') = (
                            select count(*) from pg_attribute a
                             where a.attrelid = (i_plan ->> 'oid')::oid and a.attnum > 0 and not a.attisdropped)
                       then 'pg_catalog.textin(pg_catalog.record_out(new))' else format('row(%s)::text', record_row) end;
    select format('row(%s)::text', string_agg(format('o.%I', c.col ->> 'name'), ', ' order by c.place)),
           format('row(%s)::text', string_agg(format('t.%I', c.col ->> 'name'), ', ' order by c.place))
      into old_row, live_row
      from jsonb_array_elements(i_plan -> 'columns') with ordinality c (col, place);
    select format('row(%s)::text', string_agg(format('o.%I', k.key ->> 'name'), ', ' order by k.place)),
           format('row(%s)::text', string_agg(format('old.%I', k.key ->> 'name'), ', ' order by k.place)),
           string_agg(format('old.%1$I%2$s %3$s new.%1$I%2$s', k.key ->> 'name', '::' || (k.key ->> 'base'), k.key ->> 'operator'), ' and ' order by k.place),
           format('row(%s)::text', string_agg(format('n.%I', k.key ->> 'name'), ', ' order by k.place)),
           string_agg(format('o.%I%s as k%s', k.key ->> 'name', '::' || (k.key ->> 'base'), k.place), ', ' order by k.place),
           string_agg(format('o.%1$I%2$s %3$s n.%1$I%2$s', k.key ->> 'name', '::' || (k.key ->> 'base'), k.key ->> 'operator'), ' and ' order by k.place),
           string_agg(format('t.%I%s %s d.k%s', k.key ->> 'name', '::' || (k.key ->> 'base'), k.key ->> 'operator', k.place), ' and ' order by k.place),
           format('row(%s)::text', string_agg(format('d.k%s', k.place), ', ' order by k.place)),
           format(case count(*) when 1 then '%s' else 'row(%s)' end,
                  string_agg(format('d.%I', k.key ->> 'name'), ', ' order by k.place)),
           format(case count(*) when 1 then '%s' else 'row(%s)' end,
                  string_agg(format('o.%I', k.key ->> 'name'), ', ' order by k.place)),
           format(case count(*) when 1 then '%s' else 'row(%s)' end,
                  string_agg(format('n.%I', k.key ->> 'name'), ', ' order by k.place)),
           bool_and(k.key ->> 'operator' = 'operator(pg_catalog.=)')
               and ((i_plan ->> 'fixed_key')::bool or bool_and(exists (
                   select from jsonb_array_elements(i_plan -> 'columns') c (col)
                    where c.col -> 'attnum' = k.key -> 'attnum' and c.col ->> 'type' ~ '^(smallint|integer|bigint|uuid|date|numeric|text|bytea|character varying)([(][0-9,]*[)])?$')))
      into old_key, record_key, record_same, new_key, keys, same, matched, read_key, pair, old_pair, new_pair, plain_key
      from jsonb_array_elements(v_keys) with ordinality k (key, place);
    -- As text a row is at most as long as what is added up here, plus its short values: quotes and
    -- backslashes are doubled, a byte of bytea is two digits. No value may be longer than 1 GB, nor a line
    -- that a subscriber's COPY reads, in which backslashes are doubled too: a row of more than 900 MB could
    -- not be written there as text either. What else is stored in 200 MB may be five times that as text, and
    -- what is compressed any number of times.
    select format('(%s > 900000000)', string_agg(l.size, ' + ' order by l.place) filter (where l.alias = 'n')),
           format('(%s > 900000000)', string_agg(l.size, ' + ' order by l.place) filter (where l.alias = 't')),
           format('(%s > 900000000)', string_agg(l.size, ' + ' order by l.place) filter (where l.alias is null))
      into new_large, live_large, read_large
      from (select a.alias, c.place, format(case c.large ->> 'how'
                   when 'stored' then 'case when pg_column_size(%1$s.%2$I) > 200000000 then 900000001 '
                        'when pg_column_size(%1$s.%2$I) > ' || v_compressed || ' then %3$s(%1$s.%2$I' || a.closing || ' else 0 end'
                   else 'coalesce(octet_length(%1$s.%2$I), 0)::int8 * 2'
                   end, coalesce(a.alias, 't'), c.large ->> 'name', a.measure) as size
              from jsonb_array_elements(i_plan -> 'large') with ordinality c (large, place)
              cross join (values ('n', 'trunkline.text_bytes', ')'), ('t', 'trunkline.text_bytes', ')'),
                                 (null, 'octet_length(row', ')::text)')) a (alias, measure, closing)) l
    having count(*) > 0;
    -- No value is longer than it is here, and none of them is more than its share of the 900 MB. Where there
    -- is lz4, which put_N asks for, rows that TOAST compresses for long do not go the way of one row, either:
    -- pglz takes 3 ms for 100 kB.
    select format('greatest(%s) > %s',
                  string_agg(format(case c.large ->> 'how' when 'stored' then 'pg_column_size(n.%I)' else 'octet_length(n.%I)' end,
                                    c.large ->> 'name'), ', ' order by c.place),
                  least(450000000 / count(*), case when bool_or(c.large ->> 'how' = 'stored') then 1000000 end,
                        (select 8000 from pg_settings p where p.name = 'default_toast_compression' and 'lz4' = any (p.enumvals)))),
           format('greatest(%s) > %s',
                  string_agg(format(case c.large ->> 'how' when 'stored' then 'pg_column_size(new.%I)' else 'octet_length(new.%I)' end,
                                    c.large ->> 'name'), ', ' order by c.place),
                  least(450000000 / count(*), case when bool_or(c.large ->> 'how' = 'stored') then 1000000 end,
                        (select 8000 from pg_settings p where p.name = 'default_toast_compression' and 'lz4' = any (p.enumvals)))),
           format('(greatest(%s) > %s) is true',
                  string_agg(format(case c.large ->> 'how' when 'stored' then 'pg_column_size(t.%I)' else 'octet_length(t.%I)' end,
                                    c.large ->> 'name'), ', ' order by c.place),
                  least(450000000 / count(*), case when bool_or(c.large ->> 'how' = 'stored') then 250000 end))
      into may_be_large, record_may_be_large, read_may_be_large
      from jsonb_array_elements(i_plan -> 'large') with ordinality c (large, place)
    having count(*) > 0;
end
$$;
revoke all on function trunkline.capture_words(int4, jsonb, bigint) from public;
