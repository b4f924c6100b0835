//! The keywords of connection strings, as a table with the environment variables that stand in for them.

/// Reads an environment variable; tests give their own.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What libpq does with a keyword, and what we do.
pub(crate) enum Support {
    /// Used.
    Used,
    /// Accepted without effect, because all values of the keyword lead to the same connection here.
    Ignored,
    /// Refused, with what to do instead.
    Refused(&'static str),
}

/// Every keyword of libpq 10 to 18, the environment variable that stands in for it, and what
/// becomes of it here.
pub(crate) const KEYWORDS: &[(&str, Option<&str>, Support)] = &[
    ("application_name", Some("PGAPPNAME"), Support::Ignored),
    ("channel_binding", Some("PGCHANNELBINDING"), Support::Used),
    (
        "client_encoding",
        Some("PGCLIENTENCODING"),
        Support::Ignored,
    ),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT"), Support::Used),
    ("dbname", Some("PGDATABASE"), Support::Used),
    ("fallback_application_name", None, Support::Ignored),
    (
        "gssdelegation",
        Some("PGGSSDELEGATION"),
        Support::Refused("GSSAPI is not built in"),
    ),
    ("gssencmode", Some("PGGSSENCMODE"), Support::Used),
    ("gsslib", Some("PGGSSLIB"), Support::Ignored),
    ("host", Some("PGHOST"), Support::Used),
    ("hostaddr", Some("PGHOSTADDR"), Support::Used),
    ("keepalives", None, Support::Used),
    ("keepalives_count", None, Support::Used),
    ("keepalives_idle", None, Support::Used),
    ("keepalives_interval", None, Support::Used),
    ("krbsrvname", Some("PGKRBSRVNAME"), Support::Ignored),
    (
        "load_balance_hosts",
        Some("PGLOADBALANCEHOSTS"),
        Support::Refused("hosts are tried in the order given"),
    ),
    (
        "max_protocol_version",
        Some("PGMAXPROTOCOLVERSION"),
        Support::Ignored,
    ),
    (
        "min_protocol_version",
        Some("PGMINPROTOCOLVERSION"),
        Support::Ignored,
    ),
    ("options", Some("PGOPTIONS"), Support::Used),
    ("passfile", Some("PGPASSFILE"), Support::Used),
    ("password", Some("PGPASSWORD"), Support::Used),
    ("port", Some("PGPORT"), Support::Used),
    (
        "replication",
        None,
        Support::Refused("no replication protocol is used"),
    ),
    (
        "require_auth",
        Some("PGREQUIREAUTH"),
        Support::Refused("use channel_binding=require or sslmode=verify-full"),
    ),
    (
        "requirepeer",
        Some("PGREQUIREPEER"),
        Support::Refused("use a socket directory that only the server's owner can write"),
    ),
    ("service", Some("PGSERVICE"), Support::Used),
    ("sslcert", Some("PGSSLCERT"), Support::Used),
    (
        "sslcertmode",
        Some("PGSSLCERTMODE"),
        Support::Refused("give sslcert, or leave it out"),
    ),
    ("sslcompression", Some("PGSSLCOMPRESSION"), Support::Ignored),
    ("sslcrl", Some("PGSSLCRL"), Support::Used),
    (
        "sslcrldir",
        Some("PGSSLCRLDIR"),
        Support::Refused("put the lists into one file and use sslcrl"),
    ),
    ("sslkey", Some("PGSSLKEY"), Support::Used),
    (
        "sslkeylogfile",
        None,
        Support::Refused("session keys are never written down"),
    ),
    (
        "ssl_max_protocol_version",
        Some("PGSSLMAXPROTOCOLVERSION"),
        Support::Used,
    ),
    (
        "ssl_min_protocol_version",
        Some("PGSSLMINPROTOCOLVERSION"),
        Support::Used,
    ),
    ("sslmode", Some("PGSSLMODE"), Support::Used),
    ("sslnegotiation", Some("PGSSLNEGOTIATION"), Support::Used),
    (
        "sslpassword",
        None,
        Support::Refused("remove the pass phrase from a key file that only this user can read"),
    ),
    ("sslrootcert", Some("PGSSLROOTCERT"), Support::Used),
    ("sslsni", Some("PGSSLSNI"), Support::Used),
    (
        "target_session_attrs",
        Some("PGTARGETSESSIONATTRS"),
        Support::Used,
    ),
    ("tcp_user_timeout", None, Support::Used),
    ("user", Some("PGUSER"), Support::Used),
];
