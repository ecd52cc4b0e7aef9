//! A feature that is off adds no code: none of its dependencies is part of a program that uses the crates.

use std::process::Command;

/// The crates that have the features.
const PACKAGES: [&str; 4] = ["sansocket", "sansocket-drive", "sansocket-net", "sansocket-mio"];
/// The codec of permessage-deflate.
const CODEC: &str = "zlib-rs";

#[test]
fn without_the_feature_deflate_a_program_has_no_codec() {
    for package in PACKAGES {
        assert!(!has_dependency(package, &[], CODEC), "{package} depends on {CODEC}");
        assert!(has_dependency(package, &["--features", "deflate"], CODEC), "{package} compresses without {CODEC}");
    }
}

#[test]
fn without_the_feature_tls_a_program_has_no_tls() {
    for package in ["sansocket-connect", "sansocket-net", "sansocket-mio"] {
        assert!(!has_dependency(package, &[], "rustls"), "{package} depends on rustls");
        assert!(has_dependency(package, &["--features", "tls"], "rustls"), "{package} has TLS without rustls");
    }
}

/// Returns whether a program that uses the package, with these features, contains the dependency.
fn has_dependency(package: &str, features: &[&str], dependency: &str) -> bool {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", package, "--edges", "normal", "--prefix", "none"])
        .args(features)
        .output()
        .expect("cargo tree");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().any(|line| line.split(' ').next() == Some(dependency))
}
