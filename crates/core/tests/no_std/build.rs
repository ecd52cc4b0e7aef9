//! The C library brings the start-up code and `memcpy`; Rust's own library stays out.

fn main() {
    println!("cargo::rustc-link-arg=-lc");
}
