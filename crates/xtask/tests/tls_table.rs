//! The table of the tests of TLS, `crates/tls/tests/TLS.md`, has every line, and names tests that exist.

use std::fs;
use std::path::Path;

/// The number of lines.
const LINES: usize = 25;

#[test]
fn each_line_names_tests_that_exist() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = fs::read_to_string(crates.join("tls/tests/TLS.md")).expect("the table");
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), LINES);
    for (index, row) in rows.iter().enumerate() {
        assert!(row.starts_with(&format!("| {} |", index + 1)), "not line {}: {row}", index + 1);
        let tests: Vec<_> = row.split('`').filter_map(|text| text.split_once("::")).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for (file, test) in tests {
            let source = fs::read_to_string(crates.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(source.contains(&format!("#[test]\nfn {test}()")), "{file} has no test {test}");
        }
    }
}
