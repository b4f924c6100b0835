-- component: subscriber
-- What is under way is found without reading what is in sync, and who writes to a table without reading all.
create index table_state_unfinished on trunkline.table_state (state, consumer) where state <> 'ok';
create index table_state_target on trunkline.table_state
    ((coalesce(target_schema, schema_name)), (coalesce(target_name, table_name)));
