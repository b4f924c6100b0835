-- component: provider
-- Parts of capture that have other arguments or results now.
drop function trunkline.capture_chain(int4, text, text);
drop function trunkline.capture_words(int4, jsonb, bigint);
