//! How every connection is made: which server, which user, with or without TLS, and the session settings that make text
//! mean the same everywhere. No other module opens a connection.

mod address;
mod application_name;
mod beside;
mod certificate;
mod connect_error;
mod conninfo;
mod environment;
mod keywords;
mod passfile;
mod pool;
mod pooler;
mod proven;
mod service;
mod session;
mod settings;
mod tls;
mod verify;
mod verify_v1;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::config as driver;
use tokio_postgres::error::SqlState;

pub use self::application_name::{ApplicationName, Purpose};
pub(crate) use self::application_name::{is_for, is_of};
pub use self::connect_error::ConnectError;
use self::connect_error::{Attempt, Cause};

pub use self::conninfo::ConninfoError;
use self::passfile::Login;
pub use self::pool::{NoSession, Pool, PoolError, Pooled};
use self::proven::Proven;
pub use self::session::{CancelToken, NotCancelled, SETUP, Session};
use self::session::{Channel, Wire};
use self::settings::{Binding, Endpoint, Secret, SessionAttrs, Settings, SslMode};
use self::tls::Connector;
pub use self::tls::TlsError;
use crate::install::ownership::Schema;

/// Where a server's socket is looked for if no host is named, in this order.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Words as a connection string.
fn to_text<'a>(words: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let words: Vec<String> = words
        .map(|(keyword, value)| {
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            format!("{keyword}='{value}'")
        })
        .collect();
    words.join(" ")
}

/// A connection string, read and checked, with what the environment and the service file add.
///
/// Made with [`str::parse`] from a keyword/value string or a `postgres://` URL. [`fmt::Debug`]
/// and [`fmt::Display`] never show the password. Cheap to clone.
#[derive(Clone)]
pub struct ConnectInfo(Arc<Settings>, Arc<Proven>);

impl PartialEq for ConnectInfo {
    /// Whether the settings are the same.
    fn eq(&self, other: &ConnectInfo) -> bool {
        self.0 == other.0
    }
}

impl Eq for ConnectInfo {}

/// A connection as another program's libpq takes it. The type has no [`fmt::Debug`], because it holds the password.
pub struct Libpq {
    /// A connection string without the password, so that it may stand on a command line.
    pub conninfo: String,
    /// The password, for the program's environment (`PGPASSWORD`). None: libpq looks for it
    /// in the password file, as we do.
    pub password: Option<String>,
}

impl FromStr for ConnectInfo {
    type Err = ConninfoError;

    fn from_str(text: &str) -> Result<ConnectInfo, ConninfoError> {
        let settings = environment::with(
            |name| std::env::var_os(name),
            |env| Settings::read(text, env),
        )?;
        Ok(ConnectInfo(Arc::new(settings), Arc::default()))
    }
}

impl ConnectInfo {
    /// The same server, user and settings, another database.
    #[must_use]
    pub fn with_dbname(&self, name: &str) -> ConnectInfo {
        let mut settings = Settings::clone(&self.0);
        settings.dbname = name.to_owned();
        ConnectInfo(Arc::new(settings), Arc::default())
    }

    /// Name of the database; the user's name if the string gives none.
    pub fn dbname(&self) -> &str {
        &self.0.dbname
    }

    /// Name of the role.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// Whether a connection string holds a password in clear text, so that other users must not read the file that
    /// holds the string. A password that is only `${NAME}` does not count.
    pub fn names_password(text: &str) -> bool {
        conninfo::password_of(text).is_some_and(|password| {
            !(password.is_empty() || password.starts_with("${") && password.ends_with('}'))
        })
    }

    /// Whether a password was given with it, and not in a password file.
    pub fn has_password(&self) -> bool {
        self.0.password.is_some()
    }

    /// The same connection for a program that uses libpq, such as `pg_dump`.
    pub fn for_libpq(&self) -> Libpq {
        let named = [("user", &self.0.user), ("dbname", &self.0.dbname)];
        let given = self
            .0
            .given
            .iter()
            .map(|(keyword, value)| (*keyword, value));
        let words = named.into_iter().chain(given);
        Libpq {
            conninfo: to_text(words.map(|(keyword, value)| (keyword, value.as_str()))),
            password: self.0.password.as_ref().map(|secret| secret.0.clone()),
        }
    }

    /// Connects and sets the session up (see [`Session`]).
    ///
    /// The hosts of the string are tried in turn, each address of a name for `connect_timeout`
    /// (10 s by default), login included. Errors: [`ConnectError`], which says what was tried.
    /// Dropping the future abandons the attempt.
    pub async fn connect(&self, name: &ApplicationName) -> Result<Session, ConnectError> {
        let wire = self.open(name).await?;
        Ok(Session::new(wire))
    }

    /// Connects, and proves that these schemas of ours exist and belong to roles that may act as our role, before
    /// anything in them is called or read. After [`ConnectInfo::connect`] the caller has to ask
    /// [`prove`](crate::install::ownership::prove).
    pub async fn connect_for(
        &self,
        name: &ApplicationName,
        schemas: &[Schema],
    ) -> Result<Session, ConnectError> {
        let session = self.connect(name).await?;
        self.prove(&session, schemas).await?;
        Ok(session)
    }

    async fn prove(&self, client: &Client, schemas: &[Schema]) -> Result<(), ConnectError> {
        self.1
            .require(client, schemas)
            .await
            .map_err(|error| self.failed(Cause::Schemas(Box::new(error))))
    }

    /// Opens a connection and sets it up; the caller decides how it is driven.
    pub(crate) async fn open(&self, name: &ApplicationName) -> Result<Wire, ConnectError> {
        if self.0.target == SessionAttrs::PreferStandby {
            if let Ok(wire) = self.open_one(name, SessionAttrs::Standby).await {
                return Ok(wire);
            }
            return self.open_one(name, SessionAttrs::Any).await;
        }
        self.open_one(name, self.0.target).await
    }

    /// Opens a connection to the first host that is of this kind.
    async fn open_one(
        &self,
        name: &ApplicationName,
        target: SessionAttrs,
    ) -> Result<Wire, ConnectError> {
        let mut causes = Vec::new();
        for endpoint in &self.0.endpoints {
            for place in places(endpoint, self.0.connect_timeout).await {
                let attempt = match &place.problem {
                    Some(problem) => Err(Cause::Resolve(problem.to_string())),
                    None => self.try_place(&place, name, target).await,
                };
                match attempt {
                    Ok(wire) => return Ok(wire),
                    Err(cause) => causes.push(Attempt {
                        place: place.to_string(),
                        cause,
                    }),
                }
            }
        }
        Err(self.failed_at(causes))
    }

    /// Tries one address, with the falls back from and to TLS that the sslmode allows.
    async fn try_place(
        &self,
        place: &HostAddress,
        name: &ApplicationName,
        target: SessionAttrs,
    ) -> Result<Wire, Cause> {
        let plan: &[Channel] = match (place.is_socket(), self.0.tls.mode) {
            // libpq ignores sslmode on sockets.
            (true, _) | (false, SslMode::Disable) => &[Channel::Plain],
            (false, SslMode::Allow) => &[Channel::Plain, Channel::Tls],
            (false, SslMode::Prefer) => &[Channel::TlsIfOffered, Channel::Plain],
            (false, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => &[Channel::Tls],
        };
        // The files are read anew each time: certificates are renewed under a running daemon.
        let connector = match plan {
            [Channel::Plain] => Connector::none(),
            _ => tls::connector(&self.0.tls).map_err(Cause::Tls)?,
        };
        let mut last = Cause::Timeout(Duration::ZERO);
        for channel in plan {
            let config = self.driver_config(place, *channel, name);
            let opening = async {
                let wire = session::open(&config, &connector, *channel).await?;
                check_target(&wire, target).await?;
                Ok(wire)
            };
            let opened = match self.0.connect_timeout {
                Some(limit) => tokio::time::timeout(limit, opening)
                    .await
                    .unwrap_or(Err(Cause::Timeout(limit))),
                None => opening.await,
            };
            match opened {
                Ok(wire) => return Ok(wire),
                Err(cause) if may_try_other_channel(&cause) => last = cause,
                Err(cause) => return Err(cause),
            }
        }
        Err(last)
    }

    fn driver_config(
        &self,
        place: &HostAddress,
        channel: Channel,
        name: &ApplicationName,
    ) -> tokio_postgres::Config {
        let settings = &self.0;
        let mut config = tokio_postgres::Config::new();
        config
            .host(&place.host)
            .port(place.port)
            .user(&settings.user)
            .dbname(&settings.dbname)
            .application_name(name.as_str())
            .keepalives(settings.keepalive.on)
            .keepalives_idle(settings.keepalive.idle)
            .keepalives_interval(settings.keepalive.interval)
            .keepalives_retries(settings.keepalive.count)
            .tcp_user_timeout(settings.keepalive.user_timeout)
            .ssl_mode(match channel {
                Channel::Plain => driver::SslMode::Disable,
                Channel::TlsIfOffered => driver::SslMode::Prefer,
                Channel::Tls => driver::SslMode::Require,
            })
            .channel_binding(match settings.binding {
                Binding::Disable => driver::ChannelBinding::Disable,
                Binding::Prefer => driver::ChannelBinding::Prefer,
                Binding::Require => driver::ChannelBinding::Require,
            });
        if settings.tls.direct && channel == Channel::Tls {
            config.ssl_negotiation(driver::SslNegotiation::Direct);
        }
        if let Some(address) = place.address {
            config.hostaddr(address);
        }
        if let Some(limit) = settings.connect_timeout {
            config.connect_timeout(limit);
        }
        if let Some(options) = &settings.options {
            config.options(options);
        }
        if let Some(Secret(password)) = self.password_for(place) {
            config.password(password);
        }
        config
    }

    fn password_for(&self, place: &HostAddress) -> Option<Secret> {
        let wanted = Login {
            host: &place.host,
            port: place.port,
            dbname: &self.0.dbname,
            user: &self.0.user,
        };
        let from_file = |path: &Path| passfile::lookup(path, wanted).map(Secret);
        self.0
            .password
            .clone()
            .or_else(|| self.0.passfile.as_deref().and_then(from_file))
    }

    fn failed(&self, cause: Cause) -> ConnectError {
        let place = match self.0.endpoints.first() {
            Some(endpoint) => endpoint.to_string(),
            None => String::new(),
        };
        self.failed_at(vec![Attempt { place, cause }])
    }

    fn failed_at(&self, attempts: Vec<Attempt>) -> ConnectError {
        ConnectError::new(&self.0.dbname, &self.0.user, attempts)
    }
}

impl fmt::Display for ConnectInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for endpoint in &self.0.endpoints {
            write!(f, "{endpoint}, ")?;
        }
        write!(f, "database {}, user {}", self.0.dbname, self.0.user)
    }
}

impl fmt::Debug for ConnectInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectInfo({self})")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.hostaddr) {
            (Some(host), _) => write!(f, "host {host}")?,
            (None, Some(address)) => write!(f, "host {address}")?,
            (None, None) => write!(f, "local host")?,
        }
        write!(f, ", port {}", self.port)
    }
}

/// One address to try.
#[derive(Debug)]
struct HostAddress {
    /// Name that a certificate must bear, or a socket's directory.
    host: String,
    address: Option<IpAddr>,
    port: u16,
    /// Why there is no address.
    problem: Option<io::Error>,
}

impl HostAddress {
    fn is_socket(&self) -> bool {
        self.address.is_none() && self.host.starts_with(['/', '@'])
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) if address.to_string() != self.host => {
                write!(f, "host {} ({address}), port {}", self.host, self.port)
            }
            _ => write!(f, "host {}, port {}", self.host, self.port),
        }
    }
}

/// The addresses behind an endpoint. Each address of a name has its own time limit, so that a
/// dead first one does not use up the time of the second.
async fn places(endpoint: &Endpoint, limit: Option<Duration>) -> Vec<HostAddress> {
    let port = endpoint.port;
    let place = |host: String, address| HostAddress {
        host,
        address,
        port,
        problem: None,
    };
    let host = match (&endpoint.host, endpoint.hostaddr) {
        (Some(host), Some(address)) => return vec![place(host.clone(), Some(address))],
        (None, Some(address)) => return vec![place(address.to_string(), Some(address))],
        (Some(host), None) => host.clone(),
        (None, None) => default_host(port),
    };
    if host.starts_with(['/', '@']) {
        return vec![place(host, None)];
    }
    let resolving = tokio::net::lookup_host((host.as_str(), port));
    let resolved = match limit {
        Some(limit) => match tokio::time::timeout(limit, resolving).await {
            Ok(resolved) => resolved.map(Iterator::collect::<Vec<_>>),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "no answer from the name service within {} s",
                    limit.as_secs()
                ),
            )),
        },
        None => resolving.await.map(Iterator::collect::<Vec<_>>),
    };
    match resolved {
        Ok(addresses) => addresses
            .into_iter()
            .map(|address| place(host.clone(), Some(address.ip())))
            .collect(),
        Err(problem) => vec![HostAddress {
            problem: Some(problem),
            ..place(host, None)
        }],
    }
}

/// The first socket directory in which a server listens on this port, else `localhost`. The directories are searched at
/// each attempt, because the server may start after us.
fn default_host(port: u16) -> String {
    SOCKET_DIRECTORIES
        .into_iter()
        .find(|directory| {
            Path::new(directory)
                .join(format!(".s.PGSQL.{port}"))
                .exists()
        })
        .unwrap_or("localhost")
        .to_owned()
}

async fn check_target(wire: &Wire, target: SessionAttrs) -> Result<(), Cause> {
    let wrong = |wanted| Err(Cause::WrongServer(wanted));
    match target {
        SessionAttrs::Any => Ok(()),
        SessionAttrs::ReadWrite if wire.state.read_only => wrong("a server that takes writes"),
        SessionAttrs::ReadOnly if !wire.state.read_only => wrong("a read-only server"),
        SessionAttrs::Primary if wire.state.in_recovery => wrong("a primary server"),
        SessionAttrs::Standby if !wire.state.in_recovery => wrong("a standby server"),
        SessionAttrs::ReadWrite
        | SessionAttrs::ReadOnly
        | SessionAttrs::Primary
        | SessionAttrs::Standby
        | SessionAttrs::PreferStandby => Ok(()),
    }
}

/// Whether a failed attempt with (or without) TLS is worth an attempt without (or with) TLS. It is not worth one if the
/// server refused for a reason that has nothing to do with TLS, such as a wrong password.
fn may_try_other_channel(cause: &Cause) -> bool {
    match cause {
        Cause::Server(error) => match error.code() {
            Some(code) => *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            None => true,
        },
        Cause::Tls(_) => true,
        Cause::Timeout(_)
        | Cause::Resolve(_)
        | Cause::WrongServer(_)
        | Cause::Pool(_)
        | Cause::Pooler(_)
        | Cause::PooledByTransaction
        | Cause::Schemas(_) => false,
    }
}
