//! The keywords of connection strings, as a table with the environment variables that stand in for them.

/// Reads an environment variable; tests give their own.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What becomes of a keyword.
pub(crate) enum Support {
    /// Used.
    Used,
    /// Accepted without effect, because all values of the keyword lead to the same connection here.
    Ignored,
    /// Refused, with what to do instead.
    Refused(&'static str),
    /// The same, but for these values, which ask for what is done anyway.
    RefusedBut(&'static [&'static str], &'static str),
}

impl Support {
    /// What to do instead of giving this value; None: it is accepted. An empty value is one that is not given, as in
    /// libpq.
    pub(crate) fn refuses(&self, value: &str) -> Option<&'static str> {
        match self {
            Support::Used | Support::Ignored => None,
            Support::Refused(instead) => (!value.is_empty()).then_some(instead),
            Support::RefusedBut(values, instead) => {
                (!value.is_empty() && !values.contains(&value)).then_some(instead)
            }
        }
    }
}

/// The keywords of libpq 18 that log in by a token of OAuth.
const OAUTH: Support = Support::Refused("OAuth is not built in: use a password or a certificate");

/// The keywords of libpq 18 that stand for a password.
const SCRAM_KEY: Support = Support::Refused("give the password, or a password file");

/// Every keyword of libpq 10 to 18, the environment variable that stands in for it, and what
/// becomes of it here.
pub(crate) const KEYWORDS: &[(&str, Option<&str>, Support)] = &[
    ("application_name", Some("PGAPPNAME"), Support::Ignored),
    ("authtype", Some("PGAUTHTYPE"), Support::Ignored),
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
        Support::RefusedBut(
            &["0"],
            "GSSAPI is not built in: use a password or a certificate",
        ),
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
        Support::RefusedBut(
            &["disable"],
            "hosts are tried in the order given: leave it out",
        ),
    ),
    (
        "max_protocol_version",
        Some("PGMAXPROTOCOLVERSION"),
        Support::Ignored,
    ),
    (
        "min_protocol_version",
        Some("PGMINPROTOCOLVERSION"),
        Support::RefusedBut(
            &["3.0"],
            "protocol 3.0 is spoken, with every server: leave it out",
        ),
    ),
    ("oauth_client_id", None, OAUTH),
    ("oauth_client_secret", None, OAUTH),
    ("oauth_issuer", None, OAUTH),
    ("oauth_scope", None, OAUTH),
    ("options", Some("PGOPTIONS"), Support::Used),
    ("passfile", Some("PGPASSFILE"), Support::Used),
    ("password", Some("PGPASSWORD"), Support::Used),
    ("port", Some("PGPORT"), Support::Used),
    (
        "replication",
        None,
        Support::RefusedBut(
            &["false", "off", "no", "0"],
            "no replication protocol is used: leave it out",
        ),
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
    ("scram_client_key", None, SCRAM_KEY),
    ("scram_server_key", None, SCRAM_KEY),
    ("service", Some("PGSERVICE"), Support::Used),
    ("sslcert", Some("PGSSLCERT"), Support::Used),
    ("sslcertmode", Some("PGSSLCERTMODE"), Support::Used),
    ("sslcompression", Some("PGSSLCOMPRESSION"), Support::Ignored),
    ("sslcrl", Some("PGSSLCRL"), Support::Used),
    ("sslcrldir", Some("PGSSLCRLDIR"), Support::Used),
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
    ("tty", Some("PGTTY"), Support::Ignored),
    ("user", Some("PGUSER"), Support::Used),
];
