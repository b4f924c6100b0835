-- component: provider
-- A part of capture that gives more now.
drop function trunkline.capture_words(int4, jsonb, bigint);
