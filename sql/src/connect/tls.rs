//! TLS as libpq's sslmode table asks for it, through rustls. Reads certificate files. `connect` decides when TLS is
//! tried.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::{Roots, SslMode, TlsSettings, TlsVersions};
use super::verify::{Trust, Verifier};
use crate::small_file;

/// Why TLS cannot be set up. The files' contents are never shown.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is needed cannot be read or holds something else.
    #[error("{what} {path}: {problem}")]
    File {
        /// The connection keyword that names the file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The sslmode asks for a check of the certificate, and there is no root certificate to check with.
    #[error("sslmode {mode} needs a root certificate file, and {path} does not exist")]
    NoRoots {
        /// The mode.
        mode: &'static str,
        /// Where the file was looked for.
        path: String,
    },
    /// The private key can be read by others.
    #[error("sslkey {path}: group or others have access (mode {mode:04o}), refused")]
    KeyAccess {
        /// The key.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// rustls refused a combination of settings.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

impl TlsError {
    /// What an operator can do about the error.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            TlsError::NoRoots { .. } => Some(
                "give sslrootcert=FILE, or sslrootcert=system for publicly signed certificates",
            ),
            TlsError::KeyAccess { .. } => {
                Some("chmod 0600 (0640 if root owns the file) and start again")
            }
            TlsError::File { .. } | TlsError::Rustls(_) => None,
        }
    }
}

/// Largest file of certificates or keys that is read: the authorities of a whole system take a quarter of a megabyte.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Most revocation lists in a directory: one for each authority of a chain, and some that nobody took away.
const MAX_LISTS: usize = 1000;

/// What an operator can do about a handshake that failed.
pub(crate) fn handshake_hint(error: &rustls::Error) -> Option<&'static str> {
    use rustls::CertificateError::{
        Expired, ExpiredContext, ExpiredRevocationList, ExpiredRevocationListContext,
        NotValidForName, NotValidForNameContext, Revoked, UnknownIssuer, UnknownRevocationStatus,
    };
    let rustls::Error::InvalidCertificate(problem) = error else {
        return None;
    };
    if matches!(problem, Expired | ExpiredContext { .. }) {
        Some("renew the server's certificate")
    } else if matches!(problem, NotValidForName | NotValidForNameContext { .. }) {
        Some("connect by the name in the server's certificate, or use sslmode=verify-ca")
    } else if matches!(problem, Revoked) {
        Some("the server's certificate was taken back: give the server another one")
    } else if matches!(
        problem,
        UnknownRevocationStatus | ExpiredRevocationList | ExpiredRevocationListContext { .. }
    ) {
        Some(
            "put the present revocation list of each authority of the chain into sslcrl or sslcrldir",
        )
    } else if matches!(problem, UnknownIssuer) {
        Some("put the authority that signed the server's certificate into the file of sslrootcert")
    } else {
        None
    }
}

/// What a connection needs to speak TLS, or nothing.
#[derive(Clone)]
pub(crate) enum Connector {
    None,
    Rustls(MakeRustlsConnect),
}

impl Connector {
    pub(crate) fn none() -> Connector {
        Connector::None
    }
}

/// Reads the files that the settings name and makes the connector.
///
/// libpq's table: whenever a root file exists the chain is checked, whatever the mode says;
/// verify-ca and verify-full insist on the file, and only verify-full checks the name.
pub(crate) fn connector(settings: &TlsSettings) -> Result<Connector, TlsError> {
    if settings.mode == SslMode::Disable {
        return Ok(Connector::None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(settings, &provider)?;
    let versions: &[&rustls::SupportedProtocolVersion] = match settings.versions {
        TlsVersions::Any => &[&rustls::version::TLS12, &rustls::version::TLS13],
        TlsVersions::Only12 => &[&rustls::version::TLS12],
        TlsVersions::Only13 => &[&rustls::version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match client_identity(settings)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = settings.sni;
    if settings.direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(Connector::Rustls(MakeRustlsConnect::new(config)))
}

fn verifier(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
    let algorithms = provider.signature_verification_algorithms;
    let Some(certificates) = root_certificates(settings)? else {
        return Ok(Verifier::new(None, algorithms));
    };
    let mut store = RootCertStore::empty();
    // The store skips an old or odd certificate among good ones; such a certificate may still be pinned below.
    store.add_parsable_certificates(certificates.iter().cloned());
    let lists = revocation_lists(settings)?;
    let without_revocation = lists.is_empty();
    let authorities = if store.is_empty() {
        None
    } else {
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
                .with_crls(lists)
                // As in OpenSSL: who holds a new list back must not have an old one believed.
                .enforce_revocation_expiration();
        let built = builder.build().map_err(|error| TlsError::File {
            what: "sslcrl",
            path: settings.crl.clone().unwrap_or_default(),
            problem: error.to_string(),
        })?;
        Some(built)
    };
    let trust = Trust {
        authorities,
        pinned: certificates,
        check_name: settings.mode == SslMode::VerifyFull,
        without_revocation,
    };
    Ok(Verifier::new(Some(trust), algorithms))
}

/// The trusted certificates; None: the certificate is not checked.
fn root_certificates(
    settings: &TlsSettings,
) -> Result<Option<Vec<CertificateDer<'static>>>, TlsError> {
    let needed = match settings.mode {
        SslMode::VerifyCa => Some("verify-ca"),
        SslMode::VerifyFull => Some("verify-full"),
        SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require => None,
    };
    let path = match &settings.roots {
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            return match (found.certs.is_empty(), found.errors.first()) {
                (false, _) => Ok(Some(found.certs)),
                (true, problem) => Err(TlsError::File {
                    what: "sslrootcert",
                    path: "system".into(),
                    problem: match problem {
                        Some(problem) => problem.to_string(),
                        None => "no certificates found (is ca-certificates installed?)".into(),
                    },
                }),
            };
        }
        Roots::File(path) => Some(path),
        Roots::Default(path) => path.as_ref(),
    };
    let exists = path.filter(|path| match (&settings.roots, needed) {
        (Roots::Default(_), None) => is_there(path),
        // Where the check is asked for, a file that cannot be looked at is an error that says so.
        (Roots::Default(_) | Roots::File(_) | Roots::System, _) => !is_missing(path),
    });
    match (exists, needed) {
        (Some(path), _) => certificates("sslrootcert", path).map(Some),
        (None, None) => Ok(None),
        (None, Some(mode)) => Err(TlsError::NoRoots {
            mode,
            path: match path {
                Some(path) => path.display().to_string(),
                None => "~/.postgresql/root.crt".to_owned(),
            },
        }),
    }
}

/// The revocation lists of `sslcrl` and `sslcrldir`; those of `~/.postgresql/root.crl` if neither is given.
fn revocation_lists(
    settings: &TlsSettings,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let default = settings.home.as_ref().map(|home| home.join("root.crl"));
    let file = match (&settings.crl, &settings.crl_dir) {
        (Some(path), _) => Some(path),
        (None, Some(_)) => None,
        (None, None) => default.as_ref().filter(|path| is_there(path)),
    };
    let mut found = Vec::new();
    if let Some(path) = file {
        found = lists_of("sslcrl", path)?;
    }
    if let Some(dir) = &settings.crl_dir {
        for path in hashed_lists(dir)? {
            found.extend(lists_of("sslcrldir", &path)?);
        }
    }
    Ok(found)
}

fn lists_of(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let (pem, _) = read(what, path)?;
    let found: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(what, path, &pem, &error))?;
    // No list would mean that nothing is checked. Most authorities give their list as DER, in which there is no PEM.
    if found.is_empty() {
        return Err(TlsError::File {
            what,
            path: path.to_owned(),
            problem: "holds no revocation list in PEM (openssl crl -inform DER -in FILE -out NEW)"
                .into(),
        });
    }
    Ok(found)
}

/// The lists of a directory, which have the names that OpenSSL looks for: `HASH.rN`.
///
/// A directory without any is an error. It would mean that nothing is checked, where OpenSSL trusts no certificate.
fn hashed_lists(dir: &Path) -> Result<Vec<PathBuf>, TlsError> {
    let wrong = |problem: String| TlsError::File {
        what: "sslcrldir",
        path: dir.to_owned(),
        problem,
    };
    let mut lists = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| wrong(error.to_string()))? {
        let entry = entry.map_err(|error| wrong(error.to_string()))?;
        if entry.file_name().to_str().is_some_and(is_hashed_list) {
            lists.push(entry.path());
        }
        if lists.len() > MAX_LISTS {
            return Err(wrong(format!(
                "holds more than {MAX_LISTS} revocation lists"
            )));
        }
    }
    if lists.is_empty() {
        return Err(wrong(
            "holds no revocation list HASH.r0 (openssl rehash makes the names)".to_owned(),
        ));
    }
    lists.sort();
    Ok(lists)
}

fn is_hashed_list(name: &str) -> bool {
    name.split_once(".r").is_some_and(|(hash, number)| {
        hash.len() == 8
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Client certificate and key, from the named files or from `~/.postgresql`.
fn client_identity(
    settings: &TlsSettings,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, TlsError> {
    if !settings.send_cert {
        return Ok(None);
    }
    let in_home = |name: &str| settings.home.as_ref().map(|home| home.join(name));
    let cert = match &settings.cert {
        Some(path) => path.clone(),
        None => match in_home("postgresql.crt").filter(|path| is_there(path)) {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    let key = match settings.key.clone().or_else(|| in_home("postgresql.key")) {
        Some(path) => path,
        None => {
            return Err(TlsError::File {
                what: "sslcert",
                path: cert,
                problem: "there is a certificate but no sslkey".into(),
            });
        }
    };
    let key = private_key(&key)?;
    Ok(Some((certificates("sslcert", &cert)?, key)))
}

/// The private key. As in libpq only its owner may read it; a key of root may also be read by its group.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let what = "sslkey";
    let (pem, metadata) = read(what, path)?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(TlsError::KeyAccess {
            path: path.to_owned(),
            mode: metadata.mode() & 0o7777,
        });
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(what, path, &pem, &error))
}

/// A file of certificates or keys.
fn read(what: &'static str, path: &Path) -> Result<(Vec<u8>, fs::Metadata), TlsError> {
    small_file::read(path, MAX_FILE_BYTES).map_err(|error| TlsError::File {
        what,
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let (pem, _) = read(what, path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(what, path, &pem, &error))?;
    if found.is_empty() {
        return Err(TlsError::File {
            what,
            path: path.to_owned(),
            problem: "holds no PEM certificate".into(),
        });
    }
    Ok(found)
}

fn unusable(
    what: &'static str,
    path: &Path,
    pem: &[u8],
    error: &rustls_pki_types::pem::Error,
) -> TlsError {
    use rustls_pki_types::pem::Error;
    let encrypted = what == "sslkey"
        && matches!(error, Error::NoItemsFound)
        && String::from_utf8_lossy(pem).contains("ENCRYPTED");
    let problem = if encrypted {
        "is encrypted; keys with a pass phrase are not supported, take it off: openssl pkey -in KEY -out NEW".into()
    } else if matches!(error, Error::NoItemsFound) {
        "holds no PEM item of this kind".into()
    } else {
        error.to_string()
    };
    TlsError::File {
        what,
        path: path.to_owned(),
        problem,
    }
}

/// Whether a default file exists. As in libpq one that cannot be looked at is missing: a daemon that was started with
/// another user's HOME may not search that directory, and nobody has asked for the file.
fn is_there(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
        ),
    }
}

fn is_missing(path: &Path) -> bool {
    matches!(fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}
