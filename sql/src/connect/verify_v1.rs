//! The chain of a version 1 certificate: a trusted authority has signed the certificate itself, or it is not trusted.
//! Pure.
//!
//! rustls's verifier reads version 3 only. But `openssl x509 -req` without extensions, which is the recipe of
//! PostgreSQL's own manual, makes version 1 up to OpenSSL 3.1, so many servers have such a certificate, and libpq
//! accepts it. A version 1 certificate has no extensions, so it cannot be restricted and the check is short: the
//! certificate's issuer is a trusted certificate that may sign, and the issuer's key made the signature. A version 1
//! certificate may never sign another certificate, so there are no longer chains.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, Error};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::certificate::{check_dates, parse};

/// Whether the certificate is of version 1.
pub(crate) fn is_version_1(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_ok_and(|parsed| parsed.tbs_certificate.version == Version::V1)
}

/// Checks dates and signature of a version 1 certificate against the trusted ones.
pub(crate) fn verify(
    certificate: &CertificateDer<'_>,
    trusted: &[CertificateDer<'static>],
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let parsed = parse(certificate)?;
    check_dates(&parsed, now)?;
    let issuer = parsed.tbs_certificate.issuer.to_der();
    let mut result = Err(CertificateError::UnknownIssuer.into());
    for authority in trusted {
        let Ok(authority) = parse(authority) else {
            continue;
        };
        let named = match (&issuer, authority.tbs_certificate.subject.to_der()) {
            (Ok(issuer), Ok(subject)) => *issuer == subject,
            _ => false,
        };
        if !named || !may_sign(&authority) {
            continue;
        }
        // While a key is being replaced, two authorities of the same name are usual.
        result = check_dates(&authority, now)
            .and_then(|()| check_signature(&parsed, &authority, algorithms));
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Whether a trusted certificate is an authority. Its extensions say so; a version 1 certificate, which has no
/// extensions, is an authority because somebody put it into the root file.
fn may_sign(authority: &Certificate) -> bool {
    let contents = &authority.tbs_certificate;
    if contents.version == Version::V1 {
        return true;
    }
    let is_authority =
        matches!(contents.get::<BasicConstraints>(), Ok(Some((_, basic))) if basic.ca);
    let key_signs = match contents.get::<KeyUsage>() {
        Ok(Some((_, usage))) => usage.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    is_authority && key_signs
}

fn check_signature(
    certificate: &Certificate,
    authority: &Certificate,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let wrong = || Error::from(CertificateError::BadSignature);
    let unreadable = || Error::from(CertificateError::BadEncoding);
    // The algorithm stands inside and outside of the signed part, and must be the same in both.
    if certificate.signature_algorithm != certificate.tbs_certificate.signature {
        return Err(wrong());
    }
    let key = &authority.tbs_certificate.subject_public_key_info;
    let key_algorithm = contents(&key.algorithm).ok_or_else(unreadable)?;
    let algorithm = contents(&certificate.signature_algorithm).ok_or_else(unreadable)?;
    let signed = certificate
        .tbs_certificate
        .to_der()
        .map_err(|_| unreadable())?;
    let key = key.subject_public_key.as_bytes().ok_or_else(unreadable)?;
    let signature = certificate.signature.as_bytes().ok_or_else(unreadable)?;
    let fits = algorithms.all.iter().any(|one| {
        one.signature_alg_id().as_ref() == algorithm.as_slice()
            && one.public_key_alg_id().as_ref() == key_algorithm.as_slice()
            && one.verify_signature(key, &signed, signature).is_ok()
    });
    if fits { Ok(()) } else { Err(wrong()) }
}

/// An algorithm's identifier as rustls has it: without tag and length.
fn contents(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let der = algorithm.to_der().ok()?;
    Some(AnyRef::from_der(&der).ok()?.value().to_vec())
}
