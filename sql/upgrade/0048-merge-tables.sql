-- component: subscriber
-- Several jobs may write one table, each the rows of its own condition.
alter table trunkline.table_state add column merge_filter text;
alter table trunkline.table_state add column merge_form text;
alter table trunkline.table_state add column merge_columns text[];
alter table trunkline.table_state add constraint table_state_merge
    check ((merge_filter is null) = (merge_form is null) and (merge_filter is null) = (merge_columns is null));
create index table_state_merged on trunkline.table_state (consumer) where merge_filter is not null;
