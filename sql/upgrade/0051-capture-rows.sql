-- component: provider
-- Triggers of a table have a form; pieces of capture have other arguments or results.
drop function trunkline.make_triggers(oid, oid, bool);
drop function trunkline.capture_words(int4, jsonb, bigint);
drop function trunkline.captures(text);
