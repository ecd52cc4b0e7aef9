//! The arguments of the programs whose instructions and allocations `cargo xtask guard` counts.
//!
//! `PROGRAM OPERATION TIMES` performs an operation TIMES times. `PROGRAM OPERATION allocations` prints the number of
//! its allocations, and their bytes. `PROGRAM list` prints the operations. Nothing is timed or random: each run on the
//! same kind of machine executes the same instructions.

use std::env;
use std::process::ExitCode;

/// A closure that performs an operation once.
pub type Operation = Box<dyn FnMut()>;

/// Does what the program's arguments say with its operations: their names, and the functions that prepare them.
pub fn run<P: FnOnce() -> Operation>(operations: impl IntoIterator<Item = (String, P)>) -> ExitCode {
    let mut operations = operations.into_iter();
    let arguments: Vec<_> = env::args().skip(1).collect();
    if arguments == ["list"] {
        operations.for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    if let [name, what] = &arguments[..]
        && let Some((_, prepare)) = operations.find(|(known, _)| known == name)
    {
        perform(prepare(), what);
        return ExitCode::SUCCESS;
    }
    eprintln!("usage: list | OPERATION TIMES | OPERATION allocations");
    ExitCode::FAILURE
}

fn perform(mut operation: Operation, what: &str) {
    if what == "allocations" {
        // the first call may grow buffers that later calls reuse
        operation();
        let info = allocation_counter::measure(operation);
        println!("{} {}", info.count_total, info.bytes_total);
        return;
    }
    for _ in 0..what.parse().unwrap_or(1) {
        operation();
    }
}
