use super::*;

fn read(text: &str) -> Result<Settings, ConninfoError> {
    Settings::read(text, &|_| None)
}

#[test]
fn lists_of_hosts_and_ports_go_together() {
    let settings = read("host=a,b,/tmp port=1,2,3 user=u").unwrap();
    let ports: Vec<u16> = settings.endpoints.iter().map(|e| e.port).collect();
    assert_eq!(ports, [1, 2, 3]);
    assert_eq!(read("host=a,b port=7 user=u").unwrap().endpoints[1].port, 7);
    assert!(read("host=a,b port=1,2,3").is_err());
    assert!(read("host=a,b hostaddr=127.0.0.1").is_err());
    assert!(read("port=0").is_err());
    assert!(read("port=65536").is_err());
    assert!(read("hostaddr=localhost").is_err());
    // The driver takes no zone: it would connect elsewhere, or not at all.
    let error = read("hostaddr=fe80::1%eth0").unwrap_err().to_string();
    assert!(error.contains("without a zone"), "{error}");
}

#[test]
fn the_database_is_named_like_the_user_by_default() {
    assert_eq!(read("user=me").unwrap().dbname, "me");
    assert_eq!(read("user=me dbname=x").unwrap().dbname, "x");
}

#[test]
fn an_unknown_sslmode_is_an_error_and_no_fall_back() {
    for mode in [
        "disable",
        "allow",
        "prefer",
        "require",
        "verify-ca",
        "verify-full",
    ] {
        assert!(read(&format!("sslmode={mode}")).is_ok(), "{mode}");
    }
    for mode in ["verify_full", "VERIFY-FULL", "on", "require "] {
        assert!(read(&format!("sslmode='{mode}'")).is_err(), "{mode}");
    }
}

#[test]
fn the_systems_authorities_ask_for_the_name_check() {
    assert_eq!(
        read("sslrootcert=system").unwrap().tls.mode,
        SslMode::VerifyFull
    );
    assert!(read("sslrootcert=system sslmode=require").is_err());
}

#[test]
fn times_follow_libpqs_units() {
    let settings = read("connect_timeout=1 tcp_user_timeout=1500").unwrap();
    assert_eq!(settings.connect_timeout, Some(Duration::from_secs(2)));
    assert_eq!(settings.keepalive.user_timeout, Duration::from_millis(1500));
    assert_eq!(read("connect_timeout=0").unwrap().connect_timeout, None);
    assert!(read("connect_timeout=soon").is_err());
}

#[test]
fn debug_output_hides_the_password() {
    let settings = read("password=hunter2 user=u").unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn versions_of_tls_are_read_in_any_case_and_sni_is_0_or_1() {
    let versions = |text: &str| read(text).unwrap().tls.versions;
    assert_eq!(
        versions("ssl_min_protocol_version=tlsv1.3"),
        TlsVersions::Only13
    );
    assert_eq!(
        versions("ssl_max_protocol_version=TLSV1.2"),
        TlsVersions::Only12
    );
    assert!(read("ssl_min_protocol_version=TLSv1.4").is_err());
    assert!(read("ssl_max_protocol_version=tlsv1.1").is_err());
    assert!(!read("sslsni=0").unwrap().tls.sni);
    assert!(read("sslsni=1").unwrap().tls.sni && read("").unwrap().tls.sni);
    assert!(read("sslsni=off").is_err());
}
