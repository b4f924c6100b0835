-- Table trunkline.sequence_state: the sequences that each consumer carries over.
--
-- Names are the provider's. The value on the subscriber is set before the commit
-- of every batch to the provider's value as of after the batch's last tick, so no
-- key that a replicated row holds can come out of the subscriber's sequence again.
--
--   error                      why it could not be set last time
--   exact_value, exact_called  the provider's value that `replay seqs --sync` has set it to: so it stays until the
--                              provider goes on
create table trunkline.sequence_state (
    consumer       text not null references trunkline.position (consumer),
    schema_name    text not null,
    sequence_name  text not null,
    error          text,
    exact_value    bigint,
    exact_called   boolean,
    primary key (consumer, schema_name, sequence_name)
);
