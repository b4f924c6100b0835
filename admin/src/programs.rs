//! The programs of one build, which call each other.

use std::env;
use std::path::{Path, PathBuf};

/// Where a program (`ticker`, `replay`, `trunkline`) of the same build is: beside this one, else wherever PATH has it.
#[must_use]
pub fn beside(program: &str) -> PathBuf {
    let [long, short] = names(program);
    let own = env::current_exe().ok();
    let directory = own.as_deref().and_then(Path::parent);
    directory
        .and_then(|directory| found(directory, [&long, &short]))
        .unwrap_or_else(|| PathBuf::from(long))
}

/// The name that packages give a program, and the one of the build.
fn names(program: &str) -> [String; 2] {
    let long = match program {
        "trunkline" => program.to_owned(),
        other => format!("trunkline-{other}"),
    };
    [long, program.to_owned()]
}

/// The first of the names that a directory has. A directory of all programs may have one of the short name that is
/// another package's, as Debian's `ticker` is.
fn found(directory: &Path, names: [&str; 2]) -> Option<PathBuf> {
    let paths = names.map(|name| directory.join(name));
    paths.into_iter().find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_package_goes_before_one_that_may_be_another_package_s() {
        assert_eq!(names("replay"), ["trunkline-replay", "replay"]);
        assert_eq!(names("trunkline"), ["trunkline", "trunkline"]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let names = ["trunkline-ticker", "ticker"];
        assert_eq!(found(path, names), None);
        std::fs::write(path.join("ticker"), "").unwrap();
        assert_eq!(found(path, names), Some(path.join("ticker")));
        std::fs::write(path.join("trunkline-ticker"), "").unwrap();
        assert_eq!(found(path, names), Some(path.join("trunkline-ticker")));
    }
}
