//! No file uses another one that uses it back, be it over others: such files can only be read, moved
//! and tested together.
//!
//! A file is a module, and it uses another file if it names something that is declared there: in a
//! `use`, or by a path in its code. A `pub use` of a child's is followed to the child, so a `mod.rs`
//! that only gives on what its children declare is used by nobody for it, and does not use them. If it
//! takes such a name itself, it does. What is compiled for tests only does not count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use crate::{pages, rust};

/// The packages, each by the file of its root.
const ROOTS: [&str; 6] = [
    "sql/src/lib.rs",
    "admin/src/lib.rs",
    "admin/trunkline/main.rs",
    "ticker/src/lib.rs",
    "replay/src/lib.rs",
    "benches/src/main.rs",
];

/// A module's place: its name behind those of the modules around it; none for the root.
type Place = Vec<String>;

/// One file.
struct Module {
    /// What it names, beside its own children that it gives on.
    paths: Vec<Vec<String>>,
    /// What each name that a `use` brings here stands for.
    names: BTreeMap<String, Vec<String>>,
}

/// The modules of a package.
struct Package(BTreeMap<Place, Module>);

impl Package {
    fn read(root: &str) -> Package {
        let mut package = Package(BTreeMap::new());
        let root = pages::root().join(root);
        let folder = root.parent().unwrap();
        package.add(Place::new(), &root, folder);
        package
    }

    /// Adds a file, and its children, which are in `folder`.
    fn add(&mut self, place: Place, file: &Path, folder: &Path) {
        let source = std::fs::read_to_string(file).unwrap();
        let tokens = rust::tokens(&source);
        let children: Vec<&str> = tokens
            .windows(3)
            .filter(|three| three[0] == "mod" && three[2] == ";")
            .map(|three| three[1])
            .collect();
        self.0.insert(place.clone(), module(&tokens, &children));
        for child in children {
            let below = folder.join(child);
            let flat = folder.join(format!("{child}.rs"));
            let file = if flat.exists() {
                flat
            } else {
                below.join("mod.rs")
            };
            let mut place = place.clone();
            place.push(child.to_owned());
            self.add(place, &file, &below);
        }
    }

    /// A path from the root of the package on; none: it leads out of the package.
    fn whole_path(&self, place: &Place, path: &[String]) -> Option<Vec<String>> {
        let first = path.first()?;
        let mut whole = place.clone();
        match first.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => whole.extend_from_slice(&path[1..]),
            "super" => {
                let ups = path.iter().take_while(|word| *word == "super").count();
                whole.truncate(place.len() - ups);
                whole.extend_from_slice(&path[ups..]);
            }
            _ => {
                whole.push(first.clone());
                if !self.0.contains_key(&whole) {
                    return None;
                }
                whole.extend_from_slice(&path[1..]);
            }
        }
        Some(whole)
    }

    /// The file that declares what a path from the root leads to.
    fn declares(&self, path: &[String], steps: usize) -> Place {
        let depth = (0..=path.len())
            .rev()
            .find(|depth| self.0.contains_key(&path[..*depth]))
            .unwrap();
        let place = path[..depth].to_vec();
        let name = path
            .get(depth)
            .and_then(|name| self.0[&place].names.get(name));
        match name.and_then(|given| self.whole_path(&place, given)) {
            Some(mut other) if steps > 0 => {
                other.extend_from_slice(&path[depth + 1..]);
                self.declares(&other, steps - 1)
            }
            _ => place,
        }
    }

    /// Which files each file uses.
    fn uses(&self) -> BTreeMap<&Place, BTreeSet<Place>> {
        let used = |place: &Place, module: &Module| {
            let paths = module.paths.iter();
            paths
                .filter_map(|path| self.whole_path(place, path))
                .map(|path| self.declares(&path, 8))
                .filter(|other| other != place)
                .collect()
        };
        let modules = self.0.iter();
        modules
            .map(|(place, module)| (place, used(place, module)))
            .collect()
    }
}

fn module(tokens: &[&str], children: &[&str]) -> Module {
    let named = rust::paths(tokens);
    let mut names = BTreeMap::new();
    let mut paths = Vec::new();
    for one in named {
        let is_own = |word: &String| word != "self" && children.contains(&word.as_str());
        let gives_own = one.is_given_on && one.path.iter().take(2).any(is_own);
        // In the code itself, and not as the end of another path.
        let is_taken = |name: &String| {
            let own = |two: &&[&str]| two[1] == name && !matches!(two[0], "::" | "{" | "," | "mod");
            tokens.windows(2).any(|two| own(&two))
        };
        if !gives_own || one.name.as_ref().is_some_and(is_taken) {
            paths.push(one.path.clone());
        }
        if let Some(name) = one.name {
            names.insert(name, one.path);
        }
    }
    Module { paths, names }
}

/// The shortest way from a file back to itself.
fn circle(uses: &BTreeMap<&Place, BTreeSet<Place>>, start: &Place) -> Option<Vec<Place>> {
    let mut ways = VecDeque::from([vec![start.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in &uses[way.last().unwrap()] {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                let mut longer = way.clone();
                longer.push(next.clone());
                ways.push_back(longer);
            }
        }
    }
    None
}

#[test]
fn no_two_files_of_a_package_use_each_other() {
    let mut circles = Vec::new();
    for root in ROOTS {
        let package = Package::read(root);
        assert!(package.0.len() > 5, "{root}: {} files", package.0.len());
        let uses = package.uses();
        let mut told = BTreeSet::new();
        for place in package.0.keys() {
            let Some(way) = circle(&uses, place) else {
                continue;
            };
            if told.insert(way.iter().cloned().collect::<BTreeSet<_>>()) {
                let words: Vec<String> = way.iter().map(|place| place.join("::")).collect();
                circles.push(format!("{root}: {} -> {}", words.join(" -> "), words[0]));
            }
        }
    }
    assert!(
        circles.is_empty(),
        "these files use each other; what both need belongs into a file of its own:\n{}",
        circles.join("\n")
    );
}

#[test]
fn a_circle_is_found_through_what_a_folder_gives_on_and_through_code() {
    let module_of = |text| {
        let tokens = rust::tokens(text);
        module(&tokens, &["a", "b"])
    };
    let place = |name: &str| vec![name.to_owned()];
    let package = Package(BTreeMap::from([
        (Place::new(), module_of("mod a; mod b; pub use self::b::B;")),
        (place("a"), module_of("use crate::B; fn f(_: B) {}")),
        (
            place("b"),
            module_of("pub struct B; fn g() { super::a::f(B) }"),
        ),
    ]));
    let uses = package.uses();
    assert_eq!(uses[&Place::new()], BTreeSet::new());
    assert_eq!(
        circle(&uses, &place("a")),
        Some(vec![place("a"), place("b")])
    );
}
