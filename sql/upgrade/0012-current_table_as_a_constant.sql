-- component: provider
-- A part of capture that has other arguments now.
drop function trunkline.capture_chain(int4, text, text, text);
