-- trunkline.component: what is installed here, one row a component (base, pgq, provider, subscriber, member).
-- step: number of the last upgrade step it contains. digest: SHA-256 of its files, equal = nothing to run.
-- program_version: the program that ran last. An empty table means that the schema came with a dump.
-- Users must not: change it; the installer believes it.
create table trunkline.component (
    name            text        not null primary key,
    step            int4        not null,
    digest          text        not null,
    program_version text        not null,
    installed_at    timestamptz not null default current_timestamp
);
revoke all on table trunkline.component from public;
grant select on table trunkline.component to public;
