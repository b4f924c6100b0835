-- component: subscriber
-- A row says what its state needs and no more, so that replay never has to guess what another row may mean.
alter table trunkline.table_state
    add constraint table_state_stands check (case
        when state in ('-', 'ok') then tick_id is null and copied_snapshot is null
        when state = 'in-copy' then (tick_id is null) = (copied_snapshot is null)
        else tick_id is not null or copied_snapshot is null end),
    add constraint table_state_errors check ((error is null) = (advice is null)
        and case state when 'parked' then error is not null
                       when 'in-copy' then error is null or tick_id is null
                       else error is null end);
