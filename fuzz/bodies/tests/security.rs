//! The tests that `SECURITY.md` names exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let names: Vec<_> = page.split('`').filter_map(|name| name.split_once("::")).collect();
    let names: Vec<_> = names.into_iter().filter(|(file, _)| file.ends_with(".rs")).collect();
    assert!(names.len() > 30, "{names:?}");
    for (file, test) in names {
        let source =
            fs::read_to_string(root.join("crates").join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no {test}");
    }
}
