-- Table trunkline.copied_range: the parts of a table that its copy has loaded.
--
-- A row is written first in the transaction that loads the part. A part whose commit
-- got no answer is claimed again: the claim waits for the transaction in doubt, and
-- then the row is there, or is not. Rows are deleted when the copy is complete and
-- when a new try begins. Nothing but replay writes here.

create table trunkline.copied_range (
    consumer     text    not null,
    schema_name  text    not null,
    table_name   text    not null,
    range_no     integer not null,
    primary key (consumer, schema_name, table_name, range_no)
);
