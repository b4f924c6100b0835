//! Checks a server's certificate as libpq does. Pure: `tls` has read the trusted certificates.
//!
//! Three things differ from what a web browser does, because PostgreSQL servers have certificates
//! that were made by hand: the root file may hold the server's own self-signed certificate, the
//! host's name may stand in the subject's common name instead of an alternative name, and the
//! certificate may be of version 1 (see `verify_v1`).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Encode;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::certificate::{check_dates, parse};
use super::verify_v1;

/// What is trusted, and how far the check goes.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Authorities and revocation lists; None if the root file holds none that can sign.
    pub(crate) authorities: Option<Arc<WebPkiServerVerifier>>,
    /// The root file's certificates: a server that shows one of these certificates is the right server,
    /// unless there are revocation lists.
    pub(crate) pinned: Vec<CertificateDer<'static>>,
    /// verify-full: the certificate must also be made out to this host.
    pub(crate) check_name: bool,
    /// There are no revocation lists; if there are lists, only `authorities` can check them.
    pub(crate) without_revocation: bool,
}

impl Trust {
    fn check_name(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
    ) -> Result<ServerCertVerified, Error> {
        if self.check_name {
            check_name(certificate, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }
}

/// The check of one connection's certificate.
#[derive(Debug)]
pub(crate) struct Verifier {
    trust: Option<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Without `trust` every certificate passes: the connection is encrypted against listeners only, as with libpq's
    /// `require` without a root file.
    pub(crate) fn new(trust: Option<Trust>, algorithms: WebPkiSupportedAlgorithms) -> Verifier {
        Verifier { trust, algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        if trust.pinned.contains(end_entity) {
            let parsed = parse(end_entity)?;
            check_dates(&parsed, now)?;
            if trust.without_revocation {
                return trust.check_name(end_entity, server_name);
            }
            // With lists OpenSSL goes on to the issuer, who may have taken the certificate back. One that signed itself
            // has no issuer whose list could be believed.
            let tbs = &parsed.tbs_certificate;
            if tbs.issuer == tbs.subject {
                return Err(CertificateError::UnknownRevocationStatus.into());
            }
        }
        if trust.without_revocation && verify_v1::is_version_1(end_entity) {
            verify_v1::verify(end_entity, &trust.pinned, now, &self.algorithms)?;
            return trust.check_name(end_entity, server_name);
        }
        let Some(authorities) = &trust.authorities else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        // rustls checks chain, dates and revocation first, so an error about the name means that everything else is in
        // order.
        let checked = authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match checked {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !trust.check_name => Ok(ServerCertVerified::assertion()),
            Err(
                error @ Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                ),
            ) => {
                if common_name_fits(end_entity, server_name) {
                    Ok(ServerCertVerified::assertion())
                } else {
                    Err(error)
                }
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms).or_else(|error| {
            // rustls does not even parse a version 1 certificate, which `openssl x509 -req` made for decades. The
            // certificate's key is as good as any for this signature.
            let key = parse(cert)?
                .tbs_certificate
                .subject_public_key_info
                .to_der()
                .map_err(|_| error)?;
            verify_tls13_signature_with_raw_key(
                message,
                &SubjectPublicKeyInfoDer::from(key),
                dss,
                &self.algorithms,
            )
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn check_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let by_alternative_name = ParsedCertificate::try_from(certificate)
        .and_then(|parsed| verify_server_name(&parsed, name));
    if by_alternative_name.is_ok() || common_name_fits(certificate, name) {
        return Ok(());
    }
    // A version 1 certificate fails the check above for its version; the real fault is the name.
    Err(CertificateError::NotValidForName.into())
}

/// libpq's rule: the common name counts only if there is no alternative name that names a host.
fn common_name_fits(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let Ok(parsed) = parse(certificate) else {
        return false;
    };
    let named = match parsed.tbs_certificate.get::<SubjectAltName>() {
        Ok(names) => names.is_some_and(|(_, names)| {
            names
                .0
                .iter()
                .any(|name| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_)))
        }),
        Err(_) => true,
    };
    !named
        && common_names(&parsed)
            .iter()
            .any(|pattern| name_fits(pattern, &name.to_str()))
}

fn common_names(certificate: &Certificate) -> Vec<String> {
    let mut names = Vec::new();
    for relative in &certificate.tbs_certificate.subject.0 {
        for attribute in relative.0.iter().filter(|item| item.oid == COMMON_NAME) {
            let value = &attribute.value;
            let text = Utf8StringRef::try_from(value)
                .map(|text| text.as_str().to_owned())
                .or_else(|_| {
                    PrintableStringRef::try_from(value).map(|text| text.as_str().to_owned())
                })
                .or_else(|_| Ia5StringRef::try_from(value).map(|text| text.as_str().to_owned()));
            names.extend(text);
        }
    }
    names
}

/// Whether a name pattern of a certificate names this host: letters in any case, and `*.` stands
/// for exactly one first label.
fn name_fits(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if pattern.eq_ignore_ascii_case(host) {
        return !pattern.is_empty();
    }
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(parent), Some((label, rest))) => {
            !label.is_empty() && parent.contains('.') && parent.eq_ignore_ascii_case(rest)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label_only() {
        assert!(name_fits("db.example.org", "DB.example.org"));
        assert!(name_fits("*.example.org", "db.example.org"));
        assert!(!name_fits("*.example.org", "a.b.example.org"));
        assert!(!name_fits("*.example.org", "example.org"));
        assert!(!name_fits("*.org", "example.org"));
        assert!(!name_fits("*", "db"));
        assert!(!name_fits("", ""));
    }
}
