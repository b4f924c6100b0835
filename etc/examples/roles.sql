-- Least privilege: who writes events, who reads them, who administers.
--   psql -d app -f etc/examples/roles.sql
\set ON_ERROR_STOP on

create role shop login;
create role mailer login;
grant pgq_writer to shop;      -- insert_event, insert_events, the trigger functions
grant pgq_reader to mailer;    -- register_consumer, next_batch, get_batch_events, finish_batch, event_retry
-- pgq_admin makes and drops queues, changes settings, ticks and rotates; the ticker's role needs it.
