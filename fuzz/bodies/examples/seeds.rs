//! Writes the seeds made from `testdata/` to a folder: `cargo run -p sansocket-fuzz-bodies --example seeds -- FOLDER`.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sansocket_fuzz_bodies::seeds;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from).ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    for (index, (target, input)) in seeds::from(&testdata)?.into_iter().enumerate() {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("seed-{index:04}")), input)?;
    }
    Ok(())
}
