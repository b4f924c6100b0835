//! Tells cargo that a file added to or taken from the SQL directories is a change of this package.

fn main() {
    for directory in ["pgq", "trunkline", "manifest", "upgrade"] {
        println!("cargo:rerun-if-changed={directory}");
    }
}
