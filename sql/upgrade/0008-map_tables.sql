-- component: subscriber
-- A table's rows and columns may be chosen, and go to a table of another name.
alter table trunkline.table_state
    add column target_schema text,
    add column target_name text,
    add column column_attnums int2[],
    add column column_names text[],
    add column filter text,
    add column filter_attnums int2[],
    add column filter_names text[],
    add check ((target_schema is null) = (target_name is null)),
    add check ((column_attnums is null) = (column_names is null)),
    add check ((filter is null) = (filter_attnums is null) and (filter is null) = (filter_names is null));
drop function trunkline.keep_ddl(text, text, text);
