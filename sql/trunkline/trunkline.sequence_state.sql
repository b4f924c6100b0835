-- Table trunkline.sequence_state: the sequences that each consumer carries over.
--
-- Names are the provider's. The value on the subscriber is set before the commit
-- of every batch to the provider's value as of after the batch's last tick, so no
-- key that a replicated row holds can come out of the subscriber's sequence again.

create table trunkline.sequence_state (
    consumer       text not null references trunkline.position (consumer),
    schema_name    text not null,
    sequence_name  text not null,
    error          text,
    primary key (consumer, schema_name, sequence_name)
);
