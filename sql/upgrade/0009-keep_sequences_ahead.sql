-- component: subscriber
-- Sequences are kept ahead of the provider's: the function takes the step and how many of them.
drop function trunkline.set_sequence(text, text, text, bigint, boolean);
