//! The nodes above a subscriber: those that its provider names (`followed` in `trunkline.position`), and those whose
//! changes its tables may get (`path`). A node is stored in `path` before, or in the transaction in which, the first of
//! its changes is written.

use tokio_postgres::GenericClient;

use crate::error::{Error, column};
use crate::queue::lineage::{NodeId, NodePath};

/// The new value of `trunkline.position.path` with the nodes of `$N`, for a statement that updates the row.
pub(super) fn extended(parameter: &str) -> String {
    format!(
        "case when path @> {parameter}::bigint[] then path else coalesce(path, '{{}}') || array( \
             select n from unnest({parameter}::bigint[]) with ordinality u (n, place) \
              where n <> all (coalesce(path, '{{}}')) order by place) end"
    )
}

/// The identity of the subscriber's database. Source: `trunkline.node`; none if the schema came with a dump.
pub async fn own_node(client: &impl GenericClient) -> Result<Option<NodeId>, Error> {
    let row = client
        .query_opt("select node_id from trunkline.node", &[])
        .await
        .map_err(Error::database("read the subscriber's node id"))?;
    row.map(|row| column(&row, 0).map(NodeId)).transpose()
}

/// Adds nodes to the path of a consumer.
pub async fn extend(
    client: &impl GenericClient,
    consumer: &str,
    path: &NodePath,
) -> Result<(), Error> {
    let extended = extended("$2");
    client
        .execute(
            &format!(
                "update trunkline.position set path = {extended} \
                  where consumer = $1 and not coalesce(path @> $2::bigint[], false)"
            ),
            &[&consumer, &path.ids()],
        )
        .await
        .map_err(Error::database("store which nodes are above"))?;
    Ok(())
}

/// Takes the nodes that are not in this path out of a consumer's path; false if there are none. Only if all of the
/// consumer's tables are `ok`: a copy, or a table that catches up, may bring changes of a node that is not in `path`.
/// The next tick of this database still names the nodes, because their changes may not be ticked yet.
pub async fn shorten(
    client: &impl GenericClient,
    consumer: &str,
    path: &NodePath,
) -> Result<bool, Error> {
    let changed = client
        .execute(
            "update trunkline.position p set left_txid = txid_current(), \
                 left_nodes = coalesce(p.left_nodes, '{}') || p.path, \
                 path = array(select n from unnest(p.path) with ordinality u (n, place) \
                               where n = any ($2::bigint[]) order by place) \
              where p.consumer = $1 and not p.path <@ $2::bigint[] \
                and not exists (select from trunkline.table_state s \
                                 where s.consumer = p.consumer and s.state <> 'ok')",
            &[&consumer, &path.ids()],
        )
        .await
        .map_err(Error::database("store which nodes are above"))?;
    Ok(changed == 1)
}

/// Stores the nodes that the provider has named; false if they are stored.
pub async fn follow(
    client: &impl GenericClient,
    consumer: &str,
    path: &NodePath,
) -> Result<bool, Error> {
    let changed = client
        .execute(
            "update trunkline.position set followed = $2 \
              where consumer = $1 and followed is distinct from $2::bigint[]",
            &[&consumer, &path.ids()],
        )
        .await
        .map_err(Error::database("store whom the provider follows"))?;
    Ok(changed == 1)
}
