-- The role of the subscriber for a replay that is no superuser.
--
-- Run with psql by a superuser, in the subscriber's database, before `replay install`; safe to repeat.
-- The grants on tables are for schema public: repeat them for each schema that is replicated,
-- and for tables that are made later.

\set ON_ERROR_STOP 1

select not exists (select from pg_roles where rolname = 'trunkline_replay') as no_replay,
       current_setting('server_version_num')::int >= 150000 as can_grant_parameters \gset
\if :no_replay
create role trunkline_replay login;
\endif

-- Makes schema trunkline, which it owns, and its staging tables.
grant create, temporary on database :"DBNAME" to trunkline_replay;

-- Applies changes without foreign keys and ordinary triggers acting a second time. Before
-- PostgreSQL 15 this right cannot be granted: there replay writes as an ordinary session
-- (session_role = "origin" in its config), or needs a superuser.
\if :can_grant_parameters
grant set on parameter session_replication_role to trunkline_replay;
\endif

-- Writes tables, sets sequences.
grant usage on schema public to trunkline_replay;
grant select, insert, update, delete, truncate on all tables in schema public to trunkline_replay;
grant select, update on all sequences in schema public to trunkline_replay;
