//! What a database says of itself before something is installed in it: read from the server's own catalogs, in any
//! version from 10 on, with no object of ours and no more rights than the role has.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_postgres::GenericClient;

use crate::error::{Error, column};
use crate::name::quote_ident;

/// What was read of one database.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The server, the database and the role.
    pub server: Server,
    /// The role may set session_replication_role.
    pub sets_replica: bool,
    /// Tables, foreign tables and materialized views of users, without those of extensions.
    pub relations: Vec<Relation>,
    /// The sequences of users.
    pub sequences: Vec<Sequence>,
    /// The extensions in the database.
    pub extensions: Vec<String>,
    /// Those that the server has files of; the error if it cannot list them, because one of the files is wrong.
    pub available: Result<Vec<String>, String>,
    /// Roles that objects of users belong to or are granted to.
    pub roles_used: Vec<String>,
    /// All roles of the server.
    pub roles: Vec<String>,
    /// Types of users that columns of these relations have.
    pub types_used: Vec<String>,
    /// All types of users.
    pub types: Vec<String>,
    /// Transactions that are open for a minute and longer, prepared ones included.
    pub transactions: Vec<Transaction>,
    /// Tables of extensions that have rows of users, quoted with their schemas; also those whose rows cannot be seen.
    pub extension_rows: Vec<String>,
    /// Settings of the database, as statements; the database's name is written as `{database}`.
    pub settings: Vec<String>,
    /// Rights to the database, as `(right, role)`, without those of its owner.
    pub rights: Vec<(String, String)>,
}

/// The statements that give a database the settings and the rights of another one, which no dump of a schema has. Pure.
pub fn of_database(from: &Facts, to: &Facts) -> Vec<String> {
    let database = quote_ident(&to.server.database);
    let settings = from
        .settings
        .iter()
        .filter(|one| !to.settings.contains(one));
    let granted = from.rights.iter().filter(|one| !to.rights.contains(one));
    let revoked = to.rights.iter().filter(|one| !from.rights.contains(one));
    settings
        .map(|one| one.replacen("{database}", &database, 1))
        .chain(
            granted.map(|(right, role)| format!("grant {right} on database {database} to {role}")),
        )
        .chain(
            revoked
                .map(|(right, role)| format!("revoke {right} on database {database} from {role}")),
        )
        .collect()
}

/// A server, a database and a role.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Server {
    /// Such as 15.
    pub major: u32,
    /// Such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub version: String,
    /// The database's name.
    pub database: String,
    /// The role that has asked.
    pub role: String,
    /// It is a superuser.
    pub superuser: bool,
    /// Policies of tables do not hold for it.
    pub bypasses_policies: bool,
    /// It may make schemas.
    pub creates: bool,
    /// It sees the transactions of other roles.
    pub sees_sessions: bool,
    /// The server is a physical standby.
    pub in_recovery: bool,
    /// Sessions begin read-only, as the database's setting says.
    pub read_only: bool,
    /// Such as `UTF8`.
    pub encoding: String,
    /// Such as `de_DE.UTF-8`.
    pub collation: String,
    /// The database's size in bytes.
    pub bytes: i64,
    /// How many locks the server has room for.
    pub locks: i64,
    /// The setting.
    pub max_locks_per_transaction: i64,
    /// Sessions that may be open at a time, without those reserved.
    pub max_connections: i64,
    /// Sessions that are open.
    pub connections: i64,
    /// Large objects in the database.
    pub large_objects: i64,
    /// Event triggers of users.
    pub event_triggers: Vec<String>,
    /// Schema trunkline is there.
    pub has_ours: bool,
    /// The directory of the server's files, if the role may know it.
    pub data_directory: Option<String>,
    /// The session came from the server's own machine.
    pub is_local: bool,
}

/// A table, foreign table or materialized view.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Relation {
    /// The quoted name with its schema.
    pub name: String,
    /// As `pg_class.relkind`.
    pub kind: Kind,
    /// It is not written to the log of the server.
    pub unlogged: bool,
    /// It is a partition of another one.
    pub is_partition: bool,
    /// Whose it is.
    pub owner: String,
    /// Rows are told apart by a primary key or an index that is as good.
    pub has_key: bool,
    /// The role may read it and make triggers on it.
    pub usable: bool,
    /// Policies hold for the role.
    pub has_policies: bool,
    /// It has hidden numbers of rows, as servers before 12 have them.
    pub has_oids: bool,
    /// Columns of types that servers from 12 on do not have, as `column type`.
    pub old_types: Vec<String>,
    /// Triggers of users, sorted; those of queues and of capture are left out.
    pub triggers: Vec<String>,
}

/// The kind of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// An ordinary table.
    #[serde(rename = "r")]
    Table,
    /// A partitioned table.
    #[serde(rename = "p")]
    Partitioned,
    /// A table whose rows are elsewhere.
    #[serde(rename = "f")]
    Foreign,
    /// A view whose rows are kept.
    #[serde(rename = "m")]
    Kept,
}

/// A sequence.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Sequence {
    /// The quoted name with its schema.
    pub name: String,
    /// `smallint`, `integer` or `bigint`.
    pub data_type: String,
    /// It begins anew after its last number.
    pub cycles: bool,
    /// The share of its numbers that are given out, from 0 to 1; none: not known, or none is given out.
    pub used: Option<f64>,
    /// The role may read it.
    pub readable: bool,
    /// The column that it belongs to, as `(table, column)`, both quoted.
    pub column: Option<(String, String)>,
}

/// A transaction that is open for long.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Transaction {
    /// The process; none: it is prepared.
    pub pid: Option<i32>,
    /// The name of a prepared one.
    pub prepared: Option<String>,
    /// Its role.
    pub role: String,
    /// Since when it is open.
    pub seconds: f64,
}

/// Schemas that are not a user's.
const OURS_OR_THE_SERVERS: &str = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
    and n.nspname not in ('pgq', 'pgq_ext', 'pgq_coop', 'pgq_node', 'londiste', 'trunkline')";

/// An object that came with an extension is the extension's.
fn of_none(class: &str, oid: &str) -> String {
    format!(
        "not exists (select from pg_depend d where d.classid = '{class}'::regclass and d.objid = {oid} \
         and d.deptype = 'e')"
    )
}

const SERVER: &str = "select row_to_json(x)::text from (select \
    current_setting('server_version_num')::int4 / 10000 as major, current_setting('server_version') as version, \
    current_database() as database, current_user as role, r.rolsuper as superuser, \
    r.rolsuper or r.rolbypassrls as bypasses_policies, \
    has_database_privilege(b.oid, 'CREATE') as creates, \
    r.rolsuper or pg_has_role('pg_read_all_stats', 'USAGE') as sees_sessions, \
    pg_is_in_recovery() as in_recovery, \
    exists (select from pg_db_role_setting s where s.setdatabase in (0, b.oid) and s.setrole in (0, r.oid) \
        and exists (select from unnest(s.setconfig) c where c ~ '^default_transaction_read_only=(on|true|yes|1)$')) \
        as read_only, \
    pg_encoding_to_char(b.encoding) as encoding, b.datcollate as collation, pg_database_size(b.oid) as bytes, \
    current_setting('max_locks_per_transaction')::int8 \
        * (current_setting('max_connections')::int8 + current_setting('max_prepared_transactions')::int8) as locks, \
    current_setting('max_locks_per_transaction')::int8 as max_locks_per_transaction, \
    current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8 \
        as max_connections, \
    (select count(*) from pg_stat_activity a where a.backend_type = 'client backend') as connections, \
    (select count(*) from pg_largeobject_metadata) as large_objects, \
    array(select e.evtname from pg_event_trigger e join pg_proc p on p.oid = e.evtfoid \
        join pg_namespace n on n.oid = p.pronamespace where n.nspname <> 'trunkline' order by e.evtname) \
        as event_triggers, \
    exists (select from pg_namespace n where n.nspname = 'trunkline') as has_ours, \
    (select g.setting from pg_settings g where g.name = 'data_directory') as data_directory, \
    inet_server_addr() is not distinct from inet_client_addr() as is_local \
    from pg_database b, pg_roles r where b.datname = current_database() and r.rolname = current_user) x";

fn relations() -> String {
    // A key is what capture takes for one: unique at each statement's end, over columns that are never null.
    format!(
        "select coalesce(json_agg(x), '[]')::text from (select \
         format('%I.%I', n.nspname, c.relname) as name, c.relkind as kind, c.relpersistence = 'u' as unlogged, \
         c.relispartition as is_partition, pg_get_userbyid(c.relowner) as owner, \
         exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indisvalid \
            and i.indpred is null and i.indexprs is null and (i.indisprimary or not exists (select from pg_attribute a \
                where a.attrelid = c.oid and a.attnum = any (i.indkey) and not a.attnotnull))) as has_key, \
         has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT') \
            and (c.relkind not in ('r', 'p') or has_table_privilege(c.oid, 'TRIGGER')) as usable, \
         c.relrowsecurity and (c.relforcerowsecurity or not pg_has_role(c.relowner, 'USAGE')) as has_policies, \
         coalesce(to_jsonb(c) ->> 'relhasoids', 'false') = 'true' as has_oids, \
         array(select format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) from pg_attribute a \
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.atttypid in (702, 703, 704) \
            order by a.attnum) as old_types, \
         array(select t.tgname::text from pg_trigger t join pg_proc p on p.oid = t.tgfoid \
            join pg_namespace m on m.oid = p.pronamespace where t.tgrelid = c.oid and not t.tgisinternal \
            and m.nspname not in ('pgq', 'trunkline', 'londiste') order by t.tgname) as triggers \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'p', 'f', 'm') and c.relpersistence <> 't' and {OURS_OR_THE_SERVERS} and {} \
         order by 1) x",
        of_none("pg_class", "c.oid")
    )
}

fn sequences() -> String {
    format!(
        "select coalesce(json_agg(x), '[]')::text from (select \
         format('%I.%I', s.schemaname, s.sequencename) as name, s.data_type::text as data_type, s.cycle as cycles, \
         case when s.increment_by > 0 \
            then (s.last_value::numeric - s.min_value) / greatest(s.max_value::numeric - s.min_value, 1) \
            else (s.max_value::numeric - s.last_value) / greatest(s.max_value::numeric - s.min_value, 1) \
            end::float8 as used, \
         has_schema_privilege(n.oid, 'USAGE') and has_sequence_privilege(c.oid, 'SELECT') as readable, \
         (select json_build_array(format('%I.%I', m.nspname, t.relname), quote_ident(a.attname)) from pg_depend d \
            join pg_class t on t.oid = d.refobjid join pg_namespace m on m.oid = t.relnamespace \
            join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid \
            where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass \
            and d.refobjsubid > 0 and d.deptype in ('a', 'i') limit 1) as column \
         from pg_sequences s join pg_namespace n on n.nspname = s.schemaname \
         join pg_class c on c.relnamespace = n.oid and c.relname = s.sequencename \
         where c.relpersistence <> 't' and {OURS_OR_THE_SERVERS} and {} order by 1) x",
        of_none("pg_class", "c.oid")
    )
}

const EXTENSIONS: &str =
    "select coalesce(json_agg(e.extname order by e.extname), '[]')::text from pg_extension e";

const AVAILABLE: &str =
    "select coalesce(json_agg(e.name order by e.name), '[]')::text from pg_available_extensions e";

/// Of the kinds that objects of ours have, those of users are asked for; that finds roles, too, which the server does
/// not list: its first superuser. Of all other kinds the server's own list of what depends on a role is asked. Event
/// triggers, publications and subscriptions are not carried over, and extensions are made anew, whoever owned them.
fn roles_used() -> String {
    format!(
        "select coalesce(json_agg(x.role), '[]')::text from (select distinct \
         pg_get_userbyid(u.role)::text as role from ( \
         select c.relowner as role from pg_class c join pg_namespace n on n.oid = c.relnamespace \
            where {0} and {1} and c.relpersistence <> 't' and c.relkind in ('r', 'p', 'f', 'm', 'v', 'S') \
         union select a.grantee from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a \
            where {0} \
         union select n.nspowner from pg_namespace n where {0} \
         union select a.grantee from pg_namespace n, aclexplode(n.nspacl) a where {0} \
         union select a.grantee from pg_class c join pg_namespace n on n.oid = c.relnamespace \
            join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a where {0} \
         union select r.role from pg_policy p join pg_class c on c.oid = p.polrelid \
            join pg_namespace n on n.oid = c.relnamespace, unnest(p.polroles) r (role) where {0} \
         union select d.defaclrole from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace \
            where n.oid is null or {0} \
         union select a.grantee from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace, \
            aclexplode(d.defaclacl) a where n.oid is null or {0} \
         union select t.typowner from pg_type t join pg_namespace n on n.oid = t.typnamespace \
            where {0} and {2} and t.typrelid = 0 and t.typelem = 0 \
         union select a.grantee from pg_type t join pg_namespace n on n.oid = t.typnamespace, aclexplode(t.typacl) a \
            where {0} \
         union select p.proowner from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {0} and {3} \
         union select a.grantee from pg_proc p join pg_namespace n on n.oid = p.pronamespace, aclexplode(p.proacl) a \
            where {0} \
         union select d.refobjid from pg_shdepend d join pg_database b on b.oid = d.dbid \
            where b.datname = current_database() and d.refclassid = 'pg_authid'::regclass \
            and d.classid not in ('pg_class'::regclass, 'pg_namespace'::regclass, 'pg_policy'::regclass, \
                'pg_default_acl'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass, 'pg_event_trigger'::regclass, \
                'pg_publication'::regclass, 'pg_subscription'::regclass, 'pg_extension'::regclass) \
            and not exists (select from pg_depend e where e.classid = d.classid and e.objid = d.objid \
                and e.deptype = 'e')) u where u.role <> 0 order by 1) x",
        OURS_OR_THE_SERVERS,
        of_none("pg_class", "c.oid"),
        of_none("pg_type", "t.oid"),
        of_none("pg_proc", "p.oid")
    )
}

const ROLES: &str =
    "select coalesce(json_agg(r.rolname order by r.rolname), '[]')::text from pg_roles r";

fn types_used() -> String {
    format!(
        "select coalesce(json_agg(x.name), '[]')::text from (select distinct \
         format('%I.%I', m.nspname, t.typname) as name \
         from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace \
         join pg_type t on t.oid = a.atttypid join pg_namespace m on m.oid = t.typnamespace \
         where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped and {OURS_OR_THE_SERVERS} \
         and m.nspname <> 'pg_catalog' order by 1) x"
    )
}

const TYPES: &str = "select coalesce(json_agg(x.name), '[]')::text from (select \
    format('%I.%I', n.nspname, t.typname) as name \
    from pg_type t join pg_namespace n on n.oid = t.typnamespace where n.nspname !~ '^pg_' order by 1) x";

const TRANSACTIONS: &str = "select coalesce(json_agg(x), '[]')::text from (select a.pid, null::text as prepared, \
        a.usename::text as role, extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds \
    from pg_stat_activity a where a.datname = current_database() and a.pid <> pg_backend_pid() \
        and a.backend_type = 'client backend' and a.xact_start < clock_timestamp() - interval '1 minute' \
    union all select null, p.gid, p.owner::text, extract(epoch from clock_timestamp() - p.prepared)::float8 \
    from pg_prepared_xacts p where p.database = current_database() \
        and p.prepared < clock_timestamp() - interval '1 minute' order by 4 desc) x";

/// The marked place is the database's name: databases of two names may have the same settings. What keeps sessions from
/// writing is a matter of each side, and ours where it is a standby.
const SETTINGS: &str = "select coalesce(json_agg(x.line order by x.line), '[]')::text from (select \
    case when s.setrole = 0 then 'alter database {database}' \
        else format('alter role %I in database {database}', pg_get_userbyid(s.setrole)) end \
    || format(' set %I to %s', v.name, case when lower(v.name) in ('search_path', 'temp_tablespaces', \
        'local_preload_libraries', 'session_preload_libraries') then v.value else quote_literal(v.value) end) as line \
    from pg_db_role_setting s join pg_database b on b.oid = s.setdatabase, unnest(s.setconfig) c (text), \
        lateral (select split_part(c.text, '=', 1), substr(c.text, strpos(c.text, '=') + 1)) v (name, value) \
    where b.datname = current_database() and v.name <> 'default_transaction_read_only') x";

const RIGHTS: &str = "select coalesce(json_agg(x.given order by x.given::text), '[]')::text from (select \
    json_build_array(lower(a.privilege_type), \
        case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end) as given \
    from pg_database b, aclexplode(coalesce(b.datacl, acldefault('d', b.datdba))) a \
    where b.datname = current_database() and a.grantee <> b.datdba) x";

/// The tables whose rows a dump of an extension takes along, each with the condition that these rows meet, and whether
/// reading it runs nobody's code but a superuser's or the role's own: planning runs what an index's predicate calls.
fn extension_tables() -> String {
    format!(
        "select coalesce(json_agg(json_build_array(x.name, x.condition, x.trusted) order by x.name), '[]')::text \
         from (select format('%I.%I', n.nspname, c.relname) as name, t.condition, \
            r.rolsuper or r.rolname = current_user as trusted from pg_extension e, \
            unnest(e.extconfig, e.extcondition) t (oid, condition) join pg_class c on c.oid = t.oid \
            join pg_namespace n on n.oid = c.relnamespace join pg_roles r on r.oid = c.relowner \
            where c.relkind in ('r', 'p') and {OURS_OR_THE_SERVERS}) x"
    )
}

/// The tables of extensions that have rows of users. One that is not read counts: nobody knows that it has none.
async fn extension_rows(client: &impl GenericClient) -> Result<Vec<String>, Error> {
    let doing = "look for rows in tables of extensions";
    let tables: Vec<(String, String, bool)> = ask(client, &extension_tables(), doing).await?;
    let mut found = Vec::new();
    for (table, condition, is_trusted) in tables {
        let question = format!("select exists (select from {table} {condition})");
        let has_rows = match is_trusted {
            false => true,
            true => match client.query_one(&question, &[]).await {
                Ok(row) => column(&row, 0)?,
                Err(error) if error.as_db_error().is_some() => true,
                Err(error) => return Err(Error::database(doing)(error)),
            },
        };
        if has_rows {
            found.push(table);
        }
    }
    Ok(found)
}

/// Reads all of it. The questions are several statements: what changes meanwhile may be seen in a part of them only.
///
/// # Errors
/// [`Error::Database`]; [`Error::Unexpected`] if the server's answer is no such thing.
pub async fn read(client: &impl GenericClient) -> Result<Facts, Error> {
    let server: Server = ask(client, SERVER, "read what the server is").await?;
    let sets_replica = server.superuser || server.major >= 15 && may_set_replica(client).await?;
    let (relations, sequences) = (relations(), sequences());
    let available = match ask(client, AVAILABLE, "list the extensions of the server").await {
        Ok(names) => Ok(names),
        Err(Error::Database { source, .. }) if source.as_db_error().is_some() => Err(source
            .as_db_error()
            .map_or_else(String::new, |error| error.message().to_owned())),
        Err(error) => return Err(error),
    };
    Ok(Facts {
        server,
        sets_replica,
        relations: ask(client, &relations, "list the tables").await?,
        sequences: ask(client, &sequences, "list the sequences").await?,
        extensions: ask(client, EXTENSIONS, "list the extensions").await?,
        available,
        roles_used: ask(client, &roles_used(), "list the roles that are used").await?,
        roles: ask(client, ROLES, "list the roles").await?,
        types_used: ask(client, &types_used(), "list the types of columns").await?,
        types: ask(client, TYPES, "list the types").await?,
        transactions: ask(client, TRANSACTIONS, "list the open transactions").await?,
        extension_rows: extension_rows(client).await?,
        settings: ask(client, SETTINGS, "list the settings of the database").await?,
        rights: ask(client, RIGHTS, "list the rights to the database").await?,
    })
}

async fn may_set_replica(client: &impl GenericClient) -> Result<bool, Error> {
    let row = client
        .query_one(
            "select has_parameter_privilege('session_replication_role', 'SET')",
            &[],
        )
        .await
        .map_err(Error::database("ask for the right to a parameter"))?;
    column(&row, 0)
}

async fn ask<T: DeserializeOwned>(
    client: &impl GenericClient,
    question: &str,
    doing: &str,
) -> Result<T, Error> {
    let row = client
        .query_one(question, &[])
        .await
        .map_err(Error::database(doing))?;
    let text: String = column(&row, 0)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Unexpected(format!("could not {doing}: {error}")))
}
