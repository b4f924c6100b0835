//! TLS to real servers, with certificates of a throw-away authority: who is believed under which
//! sslmode, as in libpq's table.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use sql::connect::{ApplicationName, ConnectInfo, Purpose};
use tests::{Cluster, Programs, Scratch, Server, is_root, run};

use super::authority::{Authority, Certificate, openssl, serve};

const MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Plain,
    Tls,
    Refused,
}
use Outcome::{Plain, Refused, Tls};

#[track_caller]
fn name() -> ApplicationName {
    ApplicationName::new(Purpose::Status, "j")
}

fn conninfo(cluster: &Cluster, mode: &str, more: &str) -> String {
    format!(
        "host=localhost hostaddr=127.0.0.1 port={} user=postgres dbname=postgres sslmode={mode} {more}",
        cluster.port()
    )
}

async fn outcome(conninfo: &str) -> (Outcome, String) {
    let info: ConnectInfo = conninfo.parse().unwrap();
    match info.connect(&name()).await {
        Err(error) => (Refused, error.to_string()),
        Ok(session) => {
            let tls: bool = session
                .query_one(
                    "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
                    &[],
                )
                .await
                .unwrap()
                .get(0);
            (if tls { Tls } else { Plain }, String::new())
        }
    }
}

/// What libpq itself does with the same string.
fn libpq(cluster: &Cluster, conninfo: &str) -> Outcome {
    let output = run(cluster
        .client("psql", "postgres")
        .env("HOME", "/nonexistent")
        .args(["-XAtqw", "-d", conninfo, "-c"])
        .arg("select ssl from pg_stat_ssl where pid = pg_backend_pid()"));
    match (output.code, output.text()) {
        (0, "t") => Tls,
        (0, _) => Plain,
        _ => Refused,
    }
}

/// One row of the table: what each mode does, in the order of MODES, and libpq does too.
async fn expect(cluster: &Cluster, case: &str, more: &str, expected: [Outcome; 6]) {
    for (mode, expected) in MODES.iter().zip(expected) {
        let conninfo = conninfo(cluster, mode, more);
        let (found, error) = outcome(&conninfo).await;
        assert_eq!(found, expected, "{case}, sslmode={mode}: {error}");
        assert_eq!(
            libpq(cluster, &conninfo),
            expected,
            "{case}, sslmode={mode}, libpq"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn se_15_each_sslmode_believes_whom_libpq_believes() {
    let scratch = Scratch::new();
    let cluster = Cluster::start();
    let authority = Authority::new(&scratch, "ours");
    let other = Authority::new(&scratch, "other");
    let root = format!("sslrootcert={}", authority.root().display());
    let other_root = format!("sslrootcert={}", other.root().display());
    let no_root = "sslrootcert=/nonexistent/root.crt";

    let none = [Plain, Plain, Plain, Refused, Refused, Refused];
    expect(&cluster, "server without TLS", &root, none).await;

    serve(&cluster, &authority.for_localhost());
    let all = [Plain, Plain, Tls, Tls, Tls, Tls];
    expect(&cluster, "right certificate", &root, all).await;
    let unchecked = [Plain, Plain, Tls, Tls, Refused, Refused];
    expect(&cluster, "no root file", no_root, unchecked).await;
    // With a root file even prefer checks the chain, and goes on without TLS if it is wrong.
    let distrusted = [Plain, Plain, Plain, Refused, Refused, Refused];
    expect(&cluster, "other authority", &other_root, distrusted).await;
    let distrusting: ConnectInfo = conninfo(&cluster, "verify-full", &other_root)
        .parse()
        .unwrap();
    let error = distrusting.connect(&name()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("sslrootcert"), "{error}");

    let names = "subjectAltName=DNS:db.example.org";
    serve(&cluster, &authority.issue("name", "localhost", names, 30));
    let wrong_name = [Plain, Plain, Tls, Tls, Tls, Refused];
    // The common name fits, and does not count because there is an alternative name.
    expect(&cluster, "wrong name", &root, wrong_name).await;

    serve(
        &cluster,
        &authority.issue("old", "db", "subjectAltName=DNS:localhost", -1),
    );
    expect(&cluster, "expired", &root, distrusted).await;
    expect(&cluster, "expired, no root file", no_root, unchecked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn se_15_certificates_made_by_hand_are_believed_as_by_libpq() {
    let scratch = Scratch::new();
    let cluster = Cluster::start();
    let authority = Authority::new(&scratch, "ours");
    let root = format!("sslrootcert={}", authority.root().display());

    let constraints = "basicConstraints=CA:FALSE";
    serve(
        &cluster,
        &authority.issue("cn", "localhost", constraints, 30),
    );
    let all = [Plain, Plain, Tls, Tls, Tls, Tls];
    expect(&cluster, "host in the common name only", &root, all).await;

    serve(&cluster, &authority.issue("v1", "localhost", "", 30));
    expect(&cluster, "version 1", &root, all).await;
    let no_root = "sslrootcert=/nonexistent/root.crt";
    let unchecked = [Plain, Plain, Tls, Tls, Refused, Refused];
    expect(&cluster, "version 1, no root file", no_root, unchecked).await;
    let impostor = Authority::named(&scratch, "impostor", "ours");
    let distrusted = [Plain, Plain, Plain, Refused, Refused, Refused];
    let false_root = format!("sslrootcert={}", impostor.root().display());
    expect(
        &cluster,
        "version 1, namesake of the authority",
        &false_root,
        distrusted,
    )
    .await;
    serve(&cluster, &authority.issue("v1name", "elsewhere", "", 30));
    let wrong_name = [Plain, Plain, Tls, Tls, Tls, Refused];
    expect(&cluster, "version 1, wrong name", &root, wrong_name).await;
    serve(&cluster, &authority.issue("v1old", "localhost", "", -1));
    expect(&cluster, "version 1, expired", &root, distrusted).await;
    // One of version 1 may be trusted, but not to sign others.
    let leaf = authority.issue("v1leaf", "leaf", "", 30);
    std::fs::copy(&leaf.cert, impostor.dir.join("ca.crt")).unwrap();
    std::fs::copy(&leaf.key, impostor.dir.join("ca.key")).unwrap();
    serve(&cluster, &impostor.issue("below", "localhost", "", 30));
    expect(
        &cluster,
        "version 1, signed by no authority",
        &root,
        distrusted,
    )
    .await;

    openssl(
        &authority.dir,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
         -keyout self.key -out self.crt -subj /CN=localhost",
    );
    let own = Certificate {
        cert: authority.dir.join("self.crt"),
        key: authority.dir.join("self.key"),
    };
    serve(&cluster, &own);
    let own_root = format!("sslrootcert={}", own.cert.display());
    expect(&cluster, "self-signed and in the root file", &own_root, all).await;
    expect(&cluster, "self-signed and unknown", &root, distrusted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn se_15_a_server_that_wants_tls_gets_it_unless_it_is_switched_off() {
    let scratch = Scratch::new();
    let cluster = Cluster::start();
    let authority = Authority::new(&scratch, "ours");
    std::fs::write(
        cluster.data().join("pg_hba.conf"),
        "local all all trust\nhostnossl all all all reject\nhostssl all all all trust\n",
    )
    .unwrap();
    serve(&cluster, &authority.for_localhost());
    let more = format!("sslrootcert={}", authority.root().display());
    expect(
        &cluster,
        "hostssl only",
        &more,
        [Refused, Tls, Tls, Tls, Tls, Tls],
    )
    .await;
    a_home_that_cannot_be_searched_has_no_default_files(&scratch, &cluster);
    let socket = format!(
        "{} sslmode=verify-full",
        cluster.socket_conninfo("postgres")
    );
    assert_eq!(outcome(&socket).await.0, Plain, "a socket has no TLS");
}

/// As when `runuser -u` keeps root's HOME. What is in it lets no server pass, so that one sees whether it is read.
fn a_home_that_cannot_be_searched_has_no_default_files(scratch: &Scratch, cluster: &Cluster) {
    let home = scratch.dir("home");
    let files = home.join(".postgresql");
    std::fs::create_dir(&files).unwrap();
    let other = Authority::new(scratch, "other");
    for name in ["root.crt", "root.crl", "postgresql.crt"] {
        std::fs::copy(other.root(), files.join(name)).unwrap();
    }
    let program = scratch.path().join("trunkline-copy");
    std::fs::copy(Programs::get().path("trunkline"), &program).unwrap();
    let says = |mode: u32, sslmode: &str| {
        std::fs::set_permissions(&home, PermissionsExt::from_mode(mode)).unwrap();
        let mut command = Command::new("setpriv");
        if is_root() {
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        }
        command.arg(&program).arg("doctor").env("HOME", &home);
        run(command.arg(conninfo(cluster, sslmode, ""))).stdout
    };
    let unreachable = "CRITICAL reachable from";
    let read = says(0o755, "require");
    assert!(read.contains(unreachable), "{read}");
    let unread = says(0, "require");
    assert!(unread.contains("OK version from"), "{unread}");
    let checked = says(0, "verify-ca");
    assert!(
        checked.contains(unreachable) && checked.contains("Permission denied"),
        "{checked}"
    );
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn se_15_a_client_certificate_logs_in_and_its_key_must_be_private() {
    let scratch = Scratch::new();
    let cluster = Cluster::start();
    let authority = Authority::new(&scratch, "ours");
    serve(&cluster, &authority.for_localhost());
    std::fs::copy(authority.root(), cluster.data().join("ca.crt")).unwrap();
    let readable = PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(cluster.data().join("ca.crt"), readable).unwrap();
    cluster.psql("postgres", "alter system set ssl_ca_file = 'ca.crt'");
    std::fs::write(
        cluster.data().join("pg_hba.conf"),
        "local all all trust\nhostssl all all all cert\n",
    )
    .unwrap();
    cluster.restart();
    let me = authority.issue("me", "postgres", "extendedKeyUsage=clientAuth", 30);
    let root = format!("sslrootcert={}", authority.root().display());
    let with_key = format!(
        "{root} sslcert={} sslkey={}",
        me.cert.display(),
        me.key.display()
    );

    std::fs::set_permissions(&me.key, PermissionsExt::from_mode(0o600)).unwrap();
    let (found, error) = outcome(&conninfo(&cluster, "verify-full", &with_key)).await;
    assert_eq!(found, Tls, "{error}");
    let (found, error) = outcome(&conninfo(&cluster, "verify-full", &root)).await;
    assert_eq!(found, Refused);
    assert!(error.contains("28000"), "{error}");
    std::fs::set_permissions(&me.key, PermissionsExt::from_mode(0o644)).unwrap();
    let (found, error) = outcome(&conninfo(&cluster, "verify-full", &with_key)).await;
    assert_eq!(found, Refused);
    assert!(error.contains("(mode 0644), refused"), "{error}");
    let not_sent = format!("{with_key} sslcertmode=disable");
    std::fs::set_permissions(&me.key, PermissionsExt::from_mode(0o600)).unwrap();
    let (found, error) = outcome(&conninfo(&cluster, "verify-full", &not_sent)).await;
    assert_eq!(found, Refused);
    assert!(error.contains("28000"), "{error}");
    // A key with a pass phrase is named as such, with the command that takes it off.
    openssl(
        &authority.dir,
        "pkcs8 -topk8 -in me.key -out locked.key -passout pass:secret",
    );
    let locked = with_key.replace("me.key", "locked.key");
    let key = authority.dir.join("locked.key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let (found, error) = outcome(&conninfo(&cluster, "verify-full", &locked)).await;
    assert_eq!(found, Refused);
    assert!(
        error.contains("is encrypted") && error.contains("openssl pkey"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_rsa_and_cancelling_work_too() {
    let scratch = Scratch::new();
    let cluster = Cluster::builder(&Server::debian15())
        .set("ssl_max_protocol_version", "TLSv1.2")
        .start();
    let dir = scratch.dir("rsa");
    openssl(
        &dir,
        "req -x509 -newkey rsa:2048 -nodes -days 30 -keyout self.key -out self.crt \
         -subj /CN=localhost -addext subjectAltName=DNS:localhost",
    );
    let own = Certificate {
        cert: dir.join("self.crt"),
        key: dir.join("self.key"),
    };
    serve(&cluster, &own);
    let more = format!("sslrootcert={}", own.cert.display());
    let info: ConnectInfo = conninfo(&cluster, "verify-full", &more).parse().unwrap();
    let session = info.connect(&name()).await.unwrap();
    let token = session.cancel_token();
    let sleeping = session.batch_execute("select pg_sleep(600)");
    let cancelling = async {
        // A request that comes before the statement has begun is for nothing.
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            token.cancel().await.unwrap();
        }
    };
    let slept = tokio::select! {
        slept = sleeping => slept,
        () = cancelling => unreachable!("it asks until the statement ends"),
    };
    assert_eq!(slept.unwrap_err().code().unwrap().code(), "57014");
    let (found, error) = outcome(&format!(
        "{} ssl_min_protocol_version=TLSv1.3",
        conninfo(&cluster, "require", &more)
    ))
    .await;
    assert_eq!(found, Refused, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn se_15_revocation_lists_and_channel_binding_hold_as_for_libpq() {
    const LATER: &str = "20490101000000Z";
    let scratch = Scratch::new();
    let cluster = Cluster::start();
    let authority = Authority::new(&scratch, "ours");
    let certificate = authority.for_localhost();
    serve(&cluster, &certificate);
    let root = format!("sslrootcert={}", authority.root().display());
    let with = |list: &Path| format!("{root} sslcrl={}", list.display());
    let all = [Plain, Plain, Tls, Tls, Tls, Tls];
    let distrusted = [Plain, Plain, Plain, Refused, Refused, Refused];

    let old = authority.revocations("old.crl", None, "20200102000000Z");
    expect(&cluster, "a list that has run out", &with(&old), distrusted).await;
    let good = authority.revocations("none.crl", None, LATER);
    expect(&cluster, "a list without it", &with(&good), all).await;
    let other = Authority::new(&scratch, "other");
    let others = other.revocations("others.crl", None, LATER);
    expect(&cluster, "another's list", &with(&others), distrusted).await;
    let bad = authority.revocations("bad.crl", Some("good"), LATER);
    expect(&cluster, "taken back", &with(&bad), distrusted).await;
    let info: ConnectInfo = conninfo(&cluster, "verify-full", &with(&bad))
        .parse()
        .unwrap();
    let error = info.connect(&name()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("taken back"), "{error}");
    lists_that_are_none_and_certificates_in_the_root_file(&cluster, &authority).await;
    serve(&cluster, &certificate);

    // A directory has the lists under names that openssl makes.
    for (list, expected) in [(&good, all), (&bad, distrusted)] {
        let dir = scratch.dir(&format!("lists-{}", expected == all));
        let more = format!("{root} sslcrldir={}", dir.display());
        let (found, error) = outcome(&conninfo(&cluster, "verify-full", &more)).await;
        assert_eq!(found, Refused, "an empty directory");
        assert!(
            error.contains("sslcrldir") && error.contains("openssl rehash"),
            "{error}"
        );
        std::fs::copy(list, dir.join("ours.pem")).unwrap();
        openssl(&dir, "rehash .");
        expect(&cluster, "a directory of lists", &more, expected).await;
    }

    cluster.psql("postgres", "create role bound login password 'x'");
    std::fs::write(
        cluster.data().join("pg_hba.conf"),
        "local all all trust\nhost all bound all scram-sha-256\nhost all all all trust\n",
    )
    .unwrap();
    cluster.reload();
    let bound = format!("{root} user=bound password=x channel_binding=require");
    wait_for_login(&cluster).await;
    for (mode, expected) in MODES.iter().zip([Refused, Tls, Tls, Tls, Tls, Tls]) {
        let conninfo = conninfo(&cluster, mode, &bound);
        let (found, error) = outcome(&conninfo).await;
        assert_eq!(found, expected, "bound to the channel, {mode}: {error}");
        // Without TLS nothing can be bound. Under allow libpq gives up there, and we go on by TLS, as prefer does.
        if *mode != "allow" {
            assert_eq!(libpq(&cluster, &conninfo), expected, "{mode}, libpq");
        }
    }
    let trusted = format!("{root} channel_binding=require");
    expect(&cluster, "nothing is bound", &trusted, [Refused; 6]).await;
}

/// What holds no list is an error, where libpq checks nothing; and with lists no certificate is believed for
/// standing in the root file. The lists none.crl and bad.crl, which takes back good.crt, are there.
async fn lists_that_are_none_and_certificates_in_the_root_file(
    cluster: &Cluster,
    authority: &Authority,
) {
    let all = [Plain, Plain, Tls, Tls, Tls, Tls];
    let distrusted = [Plain, Plain, Plain, Refused, Refused, Refused];
    let dir = &authority.dir;
    openssl(dir, "crl -in bad.crl -outform DER -out der.crl");
    std::fs::write(dir.join("empty.crl"), "").unwrap();
    let hashed = dir.join("none-at-all");
    std::fs::create_dir(&hashed).unwrap();
    std::fs::write(hashed.join("0123abcd.r0"), "").unwrap();
    let list = |name: &str| format!("sslcrl={}", dir.join(name).display());
    let root = format!("sslrootcert={}", authority.root().display());
    for no_list in [
        list("der.crl"),
        list("empty.crl"),
        list("good.crt"),
        format!("sslcrldir={}", hashed.display()),
    ] {
        let (found, error) = outcome(&conninfo(
            cluster,
            "verify-full",
            &format!("{root} {no_list}"),
        ))
        .await;
        assert_eq!(found, Refused, "{no_list}");
        assert!(error.contains("holds no revocation list in PEM"), "{error}");
    }

    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let both = read(&authority.root()) + &read(&dir.join("good.crt"));
    std::fs::write(dir.join("both.crt"), both).unwrap();
    let pinned = |name: &str| {
        let root = dir.join("both.crt");
        format!("sslrootcert={} {}", root.display(), list(name))
    };
    expect(
        cluster,
        "taken back, in the root file",
        &pinned("bad.crl"),
        distrusted,
    )
    .await;
    expect(
        cluster,
        "not taken back, in the root file",
        &pinned("none.crl"),
        all,
    )
    .await;
    openssl(
        dir,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
         -keyout alone.key -out alone.crt -subj /CN=localhost",
    );
    let alone = Certificate {
        cert: dir.join("alone.crt"),
        key: dir.join("alone.key"),
    };
    serve(cluster, &alone);
    let more = format!("sslrootcert={} {}", alone.cert.display(), list("none.crl"));
    expect(cluster, "signed by itself, with lists", &more, distrusted).await;
}

/// Waits until the server asks the role `bound` for its password: it reads its files again in its own time.
async fn wait_for_login(cluster: &Cluster) {
    let wrong = conninfo(cluster, "disable", "user=bound password=wrong");
    for _ in 0..1000 {
        if outcome(&wrong).await.0 == Refused {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the server goes on trusting");
}
