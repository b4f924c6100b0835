-- pgq.event_template: parent of all event tables; holds no row itself.
-- ev_owner, ev_retry: set on an event that one subscription asked to see again.
-- Users must not: write to it; insert_event does.
create table pgq.event_template (
    ev_id     bigint      not null,
    ev_time   timestamptz not null,
    ev_txid   bigint      not null default txid_current(),
    ev_owner  int4,
    ev_retry  int4,
    ev_type   text,
    ev_data   text,
    ev_extra1 text,
    ev_extra2 text,
    ev_extra3 text,
    ev_extra4 text
);
