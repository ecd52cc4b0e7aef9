//! The files of each crate depend on each other without cycles, and in the order of the layers that `ARCHITECTURE.md`
//! lists.
//!
//! A file depends on another if an import or a path in its code names an item that the other defines. A re-export is
//! followed to the file that defines the item. A file that re-exports an item depends on it too; only the re-exports of
//! the crate root are not counted. What a macro defines counts as defined by the file that the path names. Methods and
//! `#[cfg(test)]` modules are not checked.
//!
//! `ARCHITECTURE.md` must list the layers of core, and may list those of other crates, under a heading that names the
//! crate's folder. Each item of the list below it (or each row of a table) is one layer, and begins with the files and
//! folders of the layer, below `src`:
//!
//! ```text
//! ### Layers of core, from bottom to top
//!
//! 1. `time.rs`, `config.rs`: data
//! 2. `frame/`: frames as bytes
//! 3. `connection.rs`: joins the others
//! ```
//!
//! A file uses files of its own layer and of those listed before it. If several entries match a file, the longest
//! counts: `frame/header.rs` may be in another layer than the rest of `frame/`. The crate root needs no entry: it lies
//! above all others.

mod architecture;
mod graph;

use std::fs;
use std::path::{Path, PathBuf};

use crate::architecture::{check_cycles, check_layers, read_layers};
use crate::graph::Graph;

/// Crates outside the folder `crates`.
const OTHER_CRATES: [&str; 3] = ["benches", "benches/samples", "fuzz/bodies"];

#[test]
fn files_have_no_cycles_and_use_only_lower_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let lists = read_layers(&fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md"));
    let mut crates: Vec<String> = OTHER_CRATES.map(str::to_owned).to_vec();
    for folder in fs::read_dir(root.join("crates")).expect("the folder of crates") {
        crates.push(format!("crates/{}", folder.expect("a folder").file_name().display()));
    }
    crates.sort();
    let mut faults = Vec::new();
    if !lists.contains_key("core") {
        faults.push("ARCHITECTURE.md does not list the layers of core".to_owned());
    }
    for name in lists.keys() {
        if !crates.iter().any(|folder| folder.strip_prefix("crates/").unwrap_or(folder) == name) {
            faults.push(format!("ARCHITECTURE.md lists the layers of {name}, which is no crate"));
        }
    }
    for folder in &crates {
        let source_folder = format!("{folder}/src");
        let graph = Graph::parse(&read_sources(&root.join(&source_folder))).expect("valid Rust");
        assert!(!graph.uses.is_empty(), "{source_folder} has no sources");
        faults.extend(check_cycles(&source_folder, &graph));
        if let Some(layers) = lists.get(folder.strip_prefix("crates/").unwrap_or(folder)) {
            faults.extend(check_layers(&source_folder, &graph, layers));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Reads the sources of a library, or of a program that has no library.
fn read_sources(folder: &Path) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        for entry in fs::read_dir(folder.join(&below)).expect("a folder of sources") {
            let entry = entry.expect("an entry of the folder");
            let path = below.join(entry.file_name());
            if entry.path().is_dir() && path != Path::new("bin") {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(entry.path()).expect("a source");
                sources.push((path.to_string_lossy().replace('\\', "/"), source));
            }
        }
    }
    // the program beside a library uses the library as others do
    if sources.iter().any(|(path, _)| path == "lib.rs") {
        sources.retain(|(path, _)| path != "main.rs");
    }
    sources.sort();
    sources
}

/// Returns the faults of a small crate in `a/src`, whose layers are `list` unless that is empty.
fn check(sources: &[(&str, &str)], list: &str) -> Vec<String> {
    let sources: Vec<_> = sources.iter().map(|(path, source)| ((*path).to_owned(), (*source).to_owned())).collect();
    let graph = Graph::parse(&sources).expect("valid Rust");
    let lists = read_layers(&format!(
        "# Map\n\n1. `no.rs`\n\n## Layers of a, from bottom to top\n\n{list}\n\n# Rest\n\n* `no.rs`"
    ));
    let layers = if list.is_empty() { Vec::new() } else { check_layers("a/src", &graph, &lists["a"]) };
    [check_cycles("a/src", &graph), layers].concat()
}

#[test]
fn a_cycle_is_found_with_the_names_used() {
    let sources = [
        ("lib.rs", "mod a; mod b; mod c; mod d; pub use a::A;"),
        ("a.rs", "use crate::b::{self, c as renamed, B}; pub struct A(B); fn f() { b::g() }"),
        ("b.rs", "pub struct B; pub fn c() {} pub fn g() { let _ = crate::c::C; }"),
        ("c.rs", "pub struct C; impl crate::A {} use super::d::D;"),
        ("d.rs", "pub struct D;"),
    ];
    let expected = "3 files of a/src depend on each other in a cycle:\n    a.rs uses b::B, b::c, b::g of b.rs\n    \
                    b.rs uses c::C of c.rs\n    c.rs uses a::A of a.rs";
    assert_eq!(check(&sources, ""), [expected]);
}

#[test]
fn a_reexport_is_followed_to_the_definition() {
    let sources = [
        ("main.rs", "mod low; mod folder; mod high;"),
        ("low.rs", "use crate::folder::Renamed; pub struct Low;"),
        ("folder/mod.rs", "mod inner; mod other; pub use inner::Item as Renamed; pub use self::other::*;"),
        ("folder/inner.rs", "pub struct Item;"),
        ("folder/other.rs", "use crate::low::Low; pub enum Other { One }"),
        ("high.rs", "use crate::folder::Other::One; fn f() { let _: crate::folder::Other = One; }"),
    ];
    let list = "1. `folder/inner.rs`\n2. `low.rs`\n3. `folder/`: all else\n4. `high.rs`";
    assert_eq!(check(&sources, list), [""; 0]);
    let list = "| files | contents |\n|---|---|\n| `low.rs` | data |\n| `high.rs`, `folder/` | all else |";
    let expected = "a/src/low.rs uses folder::inner::Item of a/src/folder/inner.rs, which is a higher layer";
    assert_eq!(check(&sources, list), [expected]);
}

#[test]
fn comments_strings_tests_and_other_crates_are_ignored() {
    let source = r#"
        //! use crate::b::B;
        /// See [`crate::b::B`].
        fn f() -> other::b::B { "use crate::b::B;"; /* crate::b::B */ std::b::B }
        #[cfg(test)]
        mod tests { use crate::b::B; }
    "#;
    assert_eq!(check(&[("a.rs", source), ("b.rs", "pub struct B; use crate::a::f;")], ""), [""; 0]);
}

#[test]
fn paths_in_macros_and_names_of_globs_are_found() {
    let sources = [
        ("a.rs", "fn f() { println!(\"{}\", [crate::b::B::new(1)]) }"),
        ("b.rs", "pub struct B; mod inner { use super::super::c::*; fn f() { c() } }"),
        ("c.rs", "pub fn c() {}"),
    ];
    let list = "* `a.rs`\n* `b.rs`\n* `c.rs`";
    let expected = [
        "a/src/a.rs uses b::B of a/src/b.rs, which is a higher layer",
        "a/src/b.rs uses c::*, c::c of a/src/c.rs, which is a higher layer",
    ];
    assert_eq!(check(&sources, list), expected);
}

#[test]
fn the_list_and_the_files_must_agree() {
    let sources = [("lib.rs", "use a::A;"), ("a.rs", "struct A;"), ("b.rs", ""), ("c/mod.rs", "")];
    let list = "1. `a.rs`, `gone.rs`\n1. `c/`\n1. `d/`\n1. `a.rs`";
    let expected = [
        "ARCHITECTURE.md lists a/src/gone.rs, which does not exist",
        "ARCHITECTURE.md lists a/src/d/, which does not exist",
        "ARCHITECTURE.md lists a/src/a.rs twice",
        "a/src/b.rs is in no layer that ARCHITECTURE.md lists",
    ];
    assert_eq!(check(&sources, list), expected);
}
