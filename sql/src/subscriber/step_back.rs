//! A consumer's way back to an earlier tick of the log that it has applied, because the next provider has not more of
//! it. In the client's transaction.

use tokio_postgres::GenericClient;

use super::position::Position;
use crate::error::Error;

/// Moves the consumer back. All tables are as at the earlier tick but for those that are named: of `keys` rows are to
/// be fetched ([`add_keys`]), and those of `copies` are copied while their rows stay readable. So are tables that are
/// on their way into step: nobody knows from which side of the tick their rows are. A table of which only some columns
/// or rows are replicated, or under another name, is copied as well. One that is parked stays so, and needs repair.
///
/// False if the position or the list of tables is not as it was read: then the transaction must not commit.
pub async fn run(
    client: &impl GenericClient,
    consumer: &str,
    from: Position,
    tables_version: i64,
    to: Position,
    (keys, copies): (&[u32], &[u32]),
) -> Result<bool, Error> {
    let doing = || Error::database("go back to an earlier tick");
    let moved = client
        .execute(
            "update trunkline.position p set tick_id = $6, tick_tag = $7, origins = null, \
                 tables_version = p.tables_version + 1, batch_rows = null \
              where p.consumer = $1 and p.epoch = $2 and p.tick_id = $3 and p.tick_tag = $4 \
                and p.tables_version = $5 and p.held_by is null",
            &[
                &consumer,
                &from.epoch.0,
                &from.tick.id.0,
                &from.tick.tag.0,
                &tables_version,
                &to.tick.id.0,
                &to.tick.tag.0,
            ],
        )
        .await
        .map_err(doing())?;
    if moved == 0 {
        return Ok(false);
    }
    client
        .execute(
            "update trunkline.table_state s set \
                 state = '-', tick_id = null, tick_tag = null, origins = null, overlap_tick_id = null, \
                 existing = case when s.state = 'in-copy' and s.tick_id is null then s.existing else 'swap' end, \
                 copied_snapshot = null, copied_tick_id = null, copied_tick_tag = null, needs_repair = false, \
                 error = null, error_detail = null, advice = null, changed_at = clock_timestamp() \
              where s.consumer = $1 and s.state not in ('-', 'parked') \
                and (s.state <> 'ok' or s.provider_oid = any ($2) \
                     or s.provider_oid = any ($3) \
                        and num_nonnulls(s.filter, s.column_names, s.target_name, s.merge_filter) > 0)",
            &[&consumer, &copies, &keys],
        )
        .await
        .map_err(doing())?;
    client
        .execute(
            "update trunkline.table_state s set \
                 tick_id = null, tick_tag = null, origins = null, overlap_tick_id = null, copied_snapshot = null, \
                 copied_tick_id = null, copied_tick_tag = null, needs_repair = true, try_now = false \
              where s.consumer = $1 and s.state = 'parked' and s.tick_id is not null",
            &[&consumer],
        )
        .await
        .map_err(doing())?;
    client
        .execute(
            "update trunkline.table_state s set state = 'catching-up', tick_id = $3, tick_tag = $4, existing = 'keys', \
                 changed_at = clock_timestamp() \
              where s.consumer = $1 and s.state = 'ok' and s.provider_oid = any ($2)",
            &[&consumer, &keys, &to.tick.id.0, &to.tick.tag.0],
        )
        .await
        .map_err(doing())?;
    Ok(true)
}

/// Notes keys of tables whose rows are to be fetched: oids at the former provider, keys, and the columns of each key as
/// a JSON list. Those of other tables are left out.
pub async fn add_keys(
    client: &impl GenericClient,
    consumer: &str,
    keys: &[(u32, &str, &[String])],
) -> Result<(), Error> {
    let oids: Vec<u32> = keys.iter().map(|(oid, ..)| *oid).collect();
    let texts: Vec<&str> = keys.iter().map(|(_, text, _)| *text).collect();
    let columns: Vec<String> = keys
        .iter()
        .map(|(.., columns)| serde_json::Value::from(*columns).to_string())
        .collect();
    client
        .execute(
            "insert into trunkline.repair_key (consumer, schema_name, table_name, key_text, columns) \
             select s.consumer, s.schema_name, s.table_name, k.key_text, \
                    array(select c.name from jsonb_array_elements_text(k.columns::jsonb) with ordinality c (name, at) \
                           order by c.at) \
               from (select distinct u.table_oid, u.key_text, u.columns \
                       from unnest($2::oid[], $3::text[], $4::text[]) u (table_oid, key_text, columns)) k \
               join trunkline.table_state s on s.provider_oid = k.table_oid \
              where s.consumer = $1 and s.existing = 'keys' \
                and not exists (select from trunkline.repair_key r \
                                 where r.consumer = s.consumer and r.schema_name = s.schema_name \
                                   and r.table_name = s.table_name and r.key_text = k.key_text)",
            &[&consumer, &oids, &texts, &columns],
        )
        .await
        .map_err(Error::database("note the keys of rows that are to be fetched"))?;
    Ok(())
}
