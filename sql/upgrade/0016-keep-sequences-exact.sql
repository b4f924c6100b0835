-- component: subscriber
-- A sequence that was set to just the provider's value stays there until the provider goes on.
alter table trunkline.sequence_state add column exact_value bigint, add column exact_called boolean;
