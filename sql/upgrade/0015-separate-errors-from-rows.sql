-- component: subscriber
-- What to do about a stored error, so that one which somebody must end is not taken for one that passes by itself; and
-- what a server says beside its message, mostly the row itself, apart from the message: only `replay tables` shows it.
alter table trunkline.position add column last_error_advice text;
alter table trunkline.table_state add column error_detail text;
