-- Roles of the provider for a ticker and a replay that are no superusers.
--
-- Run with psql by a superuser, in the provider's database, after `ticker install`; safe to repeat.
-- Then name the roles in the config files (user=...), with passwords as your server wants them.
-- The grants on tables are for schema public: repeat them for each schema that is replicated.

\set ON_ERROR_STOP 1

select not exists (select from pg_roles where rolname = 'trunkline_ticker') as no_ticker,
       not exists (select from pg_roles where rolname = 'trunkline_replay') as no_replay \gset
\if :no_ticker
create role trunkline_ticker login;
\endif
\if :no_replay
create role trunkline_replay login;
\endif

-- Ticks and maintains; makes queues, registers consumers, makes and drops capture.
grant pgq_admin to trunkline_ticker, trunkline_replay;

-- Copies tables, makes their capture triggers, reads sequences.
grant usage on schema public to trunkline_replay;
grant select, trigger on all tables in schema public to trunkline_replay;
grant select on all sequences in schema public to trunkline_replay;
