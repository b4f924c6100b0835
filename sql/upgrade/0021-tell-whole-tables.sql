-- component: pgq
-- Which tables a consumer's subscriber has whole, for whoever waits for subscribers.
alter table pgq.subscription add column sub_whole oid[];
-- Both get one argument more; the installation makes them anew.
drop function if exists pgq._set_position(pgq.subscription, bigint, bigint, bigint);
drop function if exists trunkline.advance(text, text, bigint);
