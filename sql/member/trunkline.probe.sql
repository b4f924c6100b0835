-- Table trunkline.probe: rows of a page each, which are written to find out whether the disk takes any
-- (trunkline.probe_write).
create table trunkline.probe (
    probed_at timestamptz not null,
    filler    text        not null
);
-- Neither compressed nor put elsewhere: a row fills its page.
alter table trunkline.probe alter column filler set storage plain;
revoke all on table trunkline.probe from public;
