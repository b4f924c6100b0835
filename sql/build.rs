//! Tells cargo that a file added to or taken from the SQL directories is a change of this package.

#[expect(clippy::disallowed_macros, reason = "cargo reads them")]
fn main() {
    for directory in [
        "base",
        "pgq",
        "pgq_coop",
        "pgq_ext",
        "provider",
        "subscriber",
        "member",
        "upgrade",
        "takeover",
    ] {
        println!("cargo:rerun-if-changed={directory}");
    }
}
