//! A connection string's words as typed values: hosts, times, sslmode. Pure but for the names of
//! the operating system's user and home.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::conninfo::{self, ConninfoError, Words};
use super::keywords::Env;
use super::passfile;

/// How long a connection attempt to one address may take if the string does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer that vanished without a word (a pulled cable, a dropped NAT entry) must be noticed
/// within 30 s: idle, 10 + 3 x 5 s of unanswered probes; with data under way, 25 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_COUNT: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(25);

/// Words that are left out of [`Settings::given`].
const NOT_GIVEN_ON: [&str; 5] = ["dbname", "user", "password", "sslpassword", "service"];

/// Most hosts that one string may list.
const MAX_HOSTS: usize = 32;

/// A string that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// libpq's sslmode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// TLS is never used.
    Disable,
    /// TLS is used only if the server refuses a plain connection.
    Allow,
    /// TLS is used if the server offers it.
    Prefer,
    /// TLS is always used; the certificate is checked only if there is a root file, as in libpq.
    Require,
    /// TLS is always used, with a certificate signed by a known authority.
    VerifyCa,
    /// TLS is always used, with a certificate signed by a known authority and made out to this host.
    VerifyFull,
}

/// Which certificate authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// `~/.postgresql/root.crt`, if that file exists.
    Default(Option<PathBuf>),
    /// A file that must exist if certificates are checked.
    File(PathBuf),
    /// `sslrootcert=system`: the authorities of the operating system.
    System,
}

/// Everything TLS needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) mode: SslMode,
    pub(crate) roots: Roots,
    /// Revocation lists: a file, and a directory of files.
    pub(crate) crl: Option<PathBuf>,
    pub(crate) crl_dir: Option<PathBuf>,
    /// Whether a client certificate is sent if there is one (`sslcertmode`).
    pub(crate) send_cert: bool,
    /// Client certificate and key, given by name.
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// `~/.postgresql`, where the defaults of the four files are.
    pub(crate) home: Option<PathBuf>,
    /// Send the host's name in clear in the handshake (`sslsni`).
    pub(crate) sni: bool,
    /// Start with TLS at once instead of asking first (`sslnegotiation=direct`).
    pub(crate) direct: bool,
    pub(crate) versions: TlsVersions,
}

/// TLS versions that may be spoken; 1.0 and 1.1 never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsVersions {
    Any,
    Only12,
    Only13,
}

/// What the server must be (`target_session_attrs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionAttrs {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    /// A standby if one of the hosts is one that answers, else any of them.
    PreferStandby,
}

/// `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    Disable,
    Prefer,
    Require,
}

/// One server that the string names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Name, address or socket directory; None with `hostaddr` alone, or if nothing was given.
    pub(crate) host: Option<String>,
    pub(crate) hostaddr: Option<IpAddr>,
    pub(crate) port: u16,
}

impl Endpoint {
    /// Whether the endpoint is a socket's directory, where TLS has no meaning.
    pub(crate) fn is_socket(&self) -> bool {
        self.hostaddr.is_none()
            && self
                .host
                .as_deref()
                .is_none_or(|host| host.starts_with(['/', '@']))
    }
}

/// `keepalives*` and `tcp_user_timeout`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keepalive {
    pub(crate) on: bool,
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) count: u32,
    pub(crate) user_timeout: Duration,
}

/// A whole connection string, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) dbname: String,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) passfile: Option<PathBuf>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) keepalive: Keepalive,
    pub(crate) options: Option<String>,
    pub(crate) target: SessionAttrs,
    pub(crate) binding: Binding,
    pub(crate) tls: TlsSettings,
    /// The words as they were given, for programs that use libpq. Database, user, password and service are left out;
    /// the service is read already.
    pub(crate) given: Vec<(&'static str, String)>,
}

impl Settings {
    /// Reads a connection string; see [`conninfo::read`] for what completes it.
    pub(crate) fn read(text: &str, env: Env<'_>) -> Result<Settings, ConninfoError> {
        let words = conninfo::read(text, env)?;
        let words = Reader(&words);
        let user = match words.text("user") {
            Some(user) => user.to_owned(),
            None => os_user().ok_or(ConninfoError::Value {
                keyword: "user",
                allowed: "given, because this process's user has no name",
            })?,
        };
        if !matches!(words.text("gssencmode"), None | Some("disable" | "prefer")) {
            return Err(ConninfoError::Value {
                keyword: "gssencmode",
                allowed: "disable or prefer (GSSAPI is not built in)",
            });
        }
        Ok(Settings {
            endpoints: endpoints(&words)?,
            dbname: words.text("dbname").unwrap_or(&user).to_owned(),
            user,
            password: words.text("password").map(|text| Secret(text.to_owned())),
            passfile: words
                .text("passfile")
                .map(PathBuf::from)
                .or_else(|| passfile::default_path(env)),
            connect_timeout: connect_timeout(&words)?,
            keepalive: keepalive(&words)?,
            options: words.text("options").map(str::to_owned),
            target: target(&words)?,
            binding: match words.text("channel_binding") {
                Some("disable") => Binding::Disable,
                None | Some("prefer") => Binding::Prefer,
                Some("require") => Binding::Require,
                Some(_) => return Err(value("channel_binding", "disable, prefer or require")),
            },
            tls: tls(&words, env)?,
            given: words
                .0
                .iter()
                .filter(|(keyword, _)| !NOT_GIVEN_ON.contains(keyword))
                .map(|(keyword, value)| (*keyword, value.clone()))
                .collect(),
        })
    }
}

/// Takes values out of the words; an empty value counts as not given, as in libpq.
struct Reader<'a>(&'a Words);

impl<'a> Reader<'a> {
    fn text(&self, keyword: &'static str) -> Option<&'a str> {
        self.0
            .get(keyword)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn integer(&self, keyword: &'static str) -> Result<Option<i64>, ConninfoError> {
        let parse = |text: &str| {
            text.trim()
                .parse::<i32>()
                .map(i64::from)
                .map_err(|_| value(keyword, "a whole number"))
        };
        self.text(keyword).map(parse).transpose()
    }

    fn list(&self, keyword: &'static str) -> Vec<&'a str> {
        self.text(keyword)
            .map(|text| text.split(',').map(str::trim).collect())
            .unwrap_or_default()
    }
}

fn value(keyword: &'static str, allowed: &'static str) -> ConninfoError {
    ConninfoError::Value { keyword, allowed }
}

fn endpoints(words: &Reader<'_>) -> Result<Vec<Endpoint>, ConninfoError> {
    let hosts = words.list("host");
    let addresses = words.list("hostaddr");
    let ports = words.list("port");
    let count = hosts.len().max(addresses.len()).max(1);
    if count > MAX_HOSTS {
        return Err(value("host", "a list of at most 32 hosts"));
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(value("hostaddr", "a list as long as host"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(value("port", "one port, or a list as long as host"));
    }
    let item = |list: &[&str], index: usize| {
        list.get(index)
            .filter(|item| !item.is_empty())
            .map(|item| (*item).to_owned())
    };
    let endpoint = |index: usize| {
        let port = match item(&ports, if ports.len() == 1 { 0 } else { index }) {
            None => 5432,
            Some(text) => match text.parse::<u16>() {
                Ok(port) if port > 0 => port,
                _ => return Err(value("port", "a number from 1 to 65535")),
            },
        };
        let hostaddr = item(&addresses, index)
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| value("hostaddr", "an IPv4 or IPv6 address, without a zone"))?;
        Ok(Endpoint {
            host: item(&hosts, index),
            hostaddr,
            port,
        })
    };
    (0..count).map(endpoint).collect()
}

fn connect_timeout(words: &Reader<'_>) -> Result<Option<Duration>, ConninfoError> {
    Ok(match words.integer("connect_timeout")? {
        None => Some(CONNECT_TIMEOUT),
        // In libpq zero or less means no limit, and 1 is taken as 2.
        Some(seconds) if seconds <= 0 => None,
        Some(seconds) => Some(Duration::from_secs(seconds.max(2).unsigned_abs())),
    })
}

fn keepalive(words: &Reader<'_>) -> Result<Keepalive, ConninfoError> {
    let positive = |keyword, default: u64| {
        Ok::<u64, ConninfoError>(match words.integer(keyword)? {
            Some(number) if number > 0 => number.unsigned_abs(),
            // In libpq zero or less means the default.
            Some(_) | None => default,
        })
    };
    Ok(Keepalive {
        on: !matches!(words.integer("keepalives")?, Some(0)),
        idle: Duration::from_secs(positive("keepalives_idle", KEEPALIVE_IDLE.as_secs())?),
        interval: Duration::from_secs(positive(
            "keepalives_interval",
            KEEPALIVE_INTERVAL.as_secs(),
        )?),
        count: u32::try_from(positive("keepalives_count", u64::from(KEEPALIVE_COUNT))?)
            .unwrap_or(KEEPALIVE_COUNT),
        // This time alone of libpq's is in milliseconds.
        user_timeout: Duration::from_millis(positive(
            "tcp_user_timeout",
            TCP_USER_TIMEOUT.as_secs() * 1000,
        )?),
    })
}

fn target(words: &Reader<'_>) -> Result<SessionAttrs, ConninfoError> {
    Ok(match words.text("target_session_attrs") {
        None | Some("any") => SessionAttrs::Any,
        Some("read-write") => SessionAttrs::ReadWrite,
        Some("read-only") => SessionAttrs::ReadOnly,
        Some("primary") => SessionAttrs::Primary,
        Some("standby") => SessionAttrs::Standby,
        Some("prefer-standby") => SessionAttrs::PreferStandby,
        Some(_) => {
            return Err(value(
                "target_session_attrs",
                "any, read-write, read-only, primary, standby or prefer-standby",
            ));
        }
    })
}

fn tls(words: &Reader<'_>, env: Env<'_>) -> Result<TlsSettings, ConninfoError> {
    let home = env("HOME").map(|home| PathBuf::from(home).join(".postgresql"));
    let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
    let roots = match words.text("sslrootcert") {
        None => Roots::Default(in_home("root.crt")),
        Some("system") => Roots::System,
        Some(path) => Roots::File(path.into()),
    };
    let mode = match words.text("sslmode") {
        // As in libpq: the system's authorities sign for everybody, so only the check of the name means something.
        None if roots == Roots::System => SslMode::VerifyFull,
        None | Some("prefer") => SslMode::Prefer,
        Some("disable") => SslMode::Disable,
        Some("allow") => SslMode::Allow,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(_) => {
            return Err(value(
                "sslmode",
                "disable, allow, prefer, require, verify-ca or verify-full",
            ));
        }
    };
    if roots == Roots::System && mode != SslMode::VerifyFull {
        return Err(value("sslmode", "verify-full with sslrootcert=system"));
    }
    let direct = match words.text("sslnegotiation") {
        None | Some("postgres") => false,
        Some("direct") => true,
        Some(_) => return Err(value("sslnegotiation", "postgres or direct")),
    };
    let strong = matches!(
        mode,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull
    );
    if direct && !strong {
        return Err(value(
            "sslmode",
            "require, verify-ca or verify-full with sslnegotiation=direct",
        ));
    }
    Ok(TlsSettings {
        mode,
        roots,
        crl: words.text("sslcrl").map(PathBuf::from),
        crl_dir: words.text("sslcrldir").map(PathBuf::from),
        send_cert: match words.text("sslcertmode") {
            None | Some("allow") => true,
            Some("disable") => false,
            // Whether a server asked for the certificate that it was given is not told by the driver.
            Some(_) => return Err(value("sslcertmode", "disable or allow")),
        },
        cert: words.text("sslcert").map(PathBuf::from),
        key: words.text("sslkey").map(PathBuf::from),
        sni: match words.text("sslsni") {
            None | Some("1") => true,
            Some("0") => false,
            Some(_) => return Err(value("sslsni", "0 or 1")),
        },
        direct,
        versions: versions(words)?,
        home,
    })
}

fn versions(words: &Reader<'_>) -> Result<TlsVersions, ConninfoError> {
    const NAMES: [&str; 4] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
    // Letters in any case, as in libpq.
    let rank = |keyword| match words.text(keyword) {
        None => Ok(None),
        Some(text) => NAMES
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text))
            .map(Some)
            .ok_or(value(keyword, "TLSv1.2 or TLSv1.3")),
    };
    let least = rank("ssl_min_protocol_version")?.unwrap_or(2);
    let most = rank("ssl_max_protocol_version")?.unwrap_or(3);
    match (least, most) {
        (_, 0 | 1) => Err(value(
            "ssl_max_protocol_version",
            "TLSv1.2 or TLSv1.3 (older ones are broken)",
        )),
        (3, 2) => Err(value(
            "ssl_max_protocol_version",
            "at least ssl_min_protocol_version",
        )),
        (3, _) => Ok(TlsVersions::Only13),
        (_, 2) => Ok(TlsVersions::Only12),
        _ => Ok(TlsVersions::Any),
    }
}

fn os_user() -> Option<String> {
    nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten()
        .map(|user| user.name)
}

#[cfg(test)]
mod tests;
