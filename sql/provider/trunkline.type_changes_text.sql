-- Function trunkline.type_changes_text(i_old text, i_new text): whether a value may have another text after its column went from
-- one type to another, without a rewrite. Modifiers alone need a rewrite for that; varchar and text are written alike.
-- Arguments: types as a shape names them; null: false. Tables: none. Users must not: nothing to fear.
create or replace function trunkline.type_changes_text(i_old text, i_new text) returns bool
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(o.base <> n.base and not (o.base in ('text', 'character varying') and n.base in ('text', 'character varying')), false)
      from (select regexp_replace(i_old, '[(].*[)]', '') as base) o, (select regexp_replace(i_new, '[(].*[)]', '') as base) n;
$$;
revoke all on function trunkline.type_changes_text(text, text) from public;
