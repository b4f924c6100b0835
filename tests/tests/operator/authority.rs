//! A throw-away authority, which makes certificates and takes them back, and a server that has one of them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{Cluster, Scratch, is_root, run};

/// Makes keys and certificates with openssl in a directory of its own.
pub(super) struct Authority {
    pub(super) dir: PathBuf,
}

impl Authority {
    pub(super) fn new(scratch: &Scratch, name: &str) -> Authority {
        Authority::named(scratch, name, name)
    }

    /// One whose name is not its directory's.
    pub(super) fn named(scratch: &Scratch, dir: &str, name: &str) -> Authority {
        let dir = scratch.dir(dir);
        openssl(
            &dir,
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
                 -keyout ca.key -out ca.crt -subj /CN={name} -addext basicConstraints=critical,CA:TRUE"
            ),
        );
        Authority { dir }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// A certificate signed by this authority; without extensions openssl makes version 1.
    pub(super) fn issue(
        &self,
        name: &str,
        subject: &str,
        extensions: &str,
        days: i32,
    ) -> Certificate {
        let key = format!("{name}.key");
        openssl(
            &self.dir,
            &format!(
                "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
                 -keyout {key} -out {name}.csr -subj /CN={subject}"
            ),
        );
        let mut sign = format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
             -days {days} -out {name}.crt"
        );
        if !extensions.is_empty() {
            std::fs::write(self.dir.join(format!("{name}.ext")), extensions).unwrap();
            sign.push_str(&format!(" -extfile {name}.ext"));
        }
        openssl(&self.dir, &sign);
        Certificate {
            cert: self.dir.join(format!("{name}.crt")),
            key: self.dir.join(key),
        }
    }

    /// A good certificate for the host `localhost`.
    pub(super) fn for_localhost(&self) -> Certificate {
        self.issue("good", "db", "subjectAltName=DNS:localhost", 30)
    }
}

pub(super) struct Certificate {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// What `openssl ca` needs to take certificates back.
const REGISTER: &str = "\
    [ca]\ndefault_ca = ours\n[ours]\ndatabase = index.txt\ncrlnumber = number\ndefault_md = sha256\n\
    certificate = ca.crt\nprivate_key = ca.key\n";

impl Authority {
    /// A list of the certificates that were taken back, which is valid until so many days from now.
    pub(super) fn revocations(&self, name: &str, revoked: Option<&str>, until: &str) -> PathBuf {
        for (file, text) in [("ca.cnf", REGISTER), ("index.txt", ""), ("number", "01\n")] {
            if !self.dir.join(file).exists() {
                std::fs::write(self.dir.join(file), text).unwrap();
            }
        }
        if let Some(certificate) = revoked {
            openssl(
                &self.dir,
                &format!("ca -config ca.cnf -revoke {certificate}.crt"),
            );
        }
        openssl(
            &self.dir,
            &format!(
                "ca -config ca.cnf -gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate {until} -out {name}"
            ),
        );
        self.dir.join(name)
    }
}

pub(super) fn openssl(dir: &Path, arguments: &str) {
    run(Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(dir))
    .ok();
}

/// Gives the server a certificate and switches TLS on.
pub(super) fn serve(cluster: &Cluster, certificate: &Certificate) {
    for (from, name) in [
        (&certificate.cert, "server.crt"),
        (&certificate.key, "server.key"),
    ] {
        let to = cluster.data().join(name);
        let _ = std::fs::remove_file(&to);
        std::fs::copy(from, &to).unwrap();
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&to)).ok();
        }
    }
    cluster.psql("postgres", "alter system set ssl = on");
    cluster.psql("postgres", "alter system set ssl_ca_file = ''");
    cluster.restart();
}
