//! `cargo xtask cost --atomics`: counts the atomic operations of a server with several event loops per echoed message.
//!
//! Locking or unlocking a `Mutex` takes an atomic operation, and so does cloning or dropping an `Arc`: without any,
//! there is no lock. callgrind counts how often each instruction runs, and objdump tells which ones are atomic.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::callgrind;
use crate::echo::{Cell, Program};
use crate::workspace;

/// The number of event loops.
const LOOPS: usize = 2;
/// The rounds of the long run: each connection echoes this many messages.
const ROUNDS: u64 = 50;
/// Options of callgrind: a count for each instruction, in lines that need no context.
const OPTIONS: [&str; 3] = ["--dump-instr=yes", "--compress-pos=no", "--compress-strings=no"];

/// How often an instruction ran, by its file and its address in the file.
type Executions = HashMap<(String, u64), u64>;

/// An instruction that is one atomic operation.
#[derive(Debug, PartialEq)]
struct Atomic {
    address: u64,
    function: String,
}

/// Prints the atomic operations per echoed message, by function.
///
/// # Errors
///
/// If measuring fails, or the program itself (not the C library) has an atomic operation for each message.
pub(super) fn run(cell: Cell) -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "--atomics knows the instructions of x86-64 only");
    ensure!(
        workspace::succeeds(Command::new("objdump").arg("--version")),
        "objdump is not installed: it is in binutils"
    );
    let program = Program::serve(LOOPS)?;
    let (few, before) = count(&program, cell, cell.messages_in_flight())?;
    let (many, after) = count(&program, cell, ROUNDS * cell.messages_in_flight())?;
    let messages = (many - few) as f64;

    println!("{program}: {cell}: atomic operations per echoed message");
    let mut own = 0.0;
    for (file, executions) in by_file(&before, &after) {
        let name = Path::new(&file).file_name().unwrap_or_default().display().to_string();
        let listing = workspace::output(Command::new("objdump").args(["-d", "-C", "--no-show-raw-insn", &file]))?;
        let mut functions: HashMap<String, u64> = HashMap::new();
        for Atomic { address, function } in atomics(&listing) {
            *functions.entry(function).or_default() += executions.get(&address).copied().unwrap_or_default();
        }
        let total = functions.values().sum::<u64>() as f64 / messages;
        println!("{total:>8.3} in {name}");
        for (function, executions) in functions.into_iter().filter(|&(_, executions)| executions > 0) {
            println!("{:>8} {:.3} in {function}", "", executions as f64 / messages);
        }
        own += if name == "sansocket" { total } else { 0.0 };
    }
    ensure!(own < 0.01, "the program has {own:.3} atomic operations per message");
    Ok(())
}

/// Makes a server echo this many messages, or a few more. Returns how many, and what it executed.
fn count(program: &Program, cell: Cell, messages: u64) -> Result<(u64, Executions)> {
    let (messages, text, _) = callgrind::profile(program, cell, messages, &OPTIONS)?;
    let executions = executions(&text).context("callgrind has counted no instructions")?;
    Ok((messages, executions))
}

/// Parses a file of callgrind that was written with [`OPTIONS`]. Returns `None` if it has no counts.
fn executions(text: &str) -> Option<Executions> {
    let mut executions = Executions::new();
    let (mut file, mut is_call) = ("", false);
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("ob=") {
            file = path;
        } else if line.starts_with("calls=") {
            // The next line has the cost of the function that is called, which is counted there.
            is_call = true;
        } else if let Some(line) = line.strip_prefix("0x") {
            let words: Vec<_> = line.split(' ').collect();
            if let [address, _, count] = words[..]
                && !is_call
            {
                let address = u64::from_str_radix(address, 16).ok()?;
                *executions.entry((file.to_owned(), address)).or_default() += count.parse::<u64>().ok()?;
            }
            is_call = false;
        }
    }
    (!executions.is_empty()).then_some(executions)
}

/// Returns how much more often each instruction ran in the long run, for each file, by name.
fn by_file(before: &Executions, after: &Executions) -> Vec<(String, HashMap<u64, u64>)> {
    let mut files: HashMap<String, HashMap<u64, u64>> = HashMap::new();
    for (key, &count) in after {
        let more = count.saturating_sub(before.get(key).copied().unwrap_or_default());
        // callgrind writes ??? for code without a file, such as the kernel's that reads the clock.
        if more > 0 && key.0.starts_with('/') {
            files.entry(key.0.clone()).or_default().insert(key.1, more);
        }
    }
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by(|first, second| first.0.cmp(&second.0));
    files
}

/// Returns the atomic instructions in a listing of objdump: those with the prefix `lock`, and `xchg` with memory, which
/// needs none.
fn atomics(listing: &str) -> Vec<Atomic> {
    let (mut atomics, mut function) = (Vec::new(), "");
    for line in listing.lines() {
        if let Some((_, name)) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            function = name;
        } else if let Some((address, instruction)) = line.split_once(":\t") {
            let is_atomic =
                instruction.starts_with("lock ") || (instruction.starts_with("xchg") && instruction.contains('('));
            if let (true, Ok(address)) = (is_atomic, u64::from_str_radix(address.trim(), 16)) {
                atomics.push(Atomic { address, function: function.to_owned() });
            }
        }
    }
    atomics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_counted_by_file_and_address_without_calls() {
        let text = "\
positions: instr line
events: Ir

ob=/bin/server
fn=main
0x1080 12 3
0x1088 0 4
cob=/lib/libc.so.6
cfn=malloc
calls=2 0x500 0
0x1090 13 900
0x1080 14 5

ob=/lib/libc.so.6
fn=malloc
0x500 0 7

totals: 19
";
        let executed = |file: &str, address| executions(text).unwrap().get(&(file.to_owned(), address)).copied();
        assert_eq!(executed("/bin/server", 0x1080), Some(8));
        assert_eq!(executed("/bin/server", 0x1088), Some(4));
        assert_eq!(executed("/bin/server", 0x1090), None);
        assert_eq!(executed("/lib/libc.so.6", 0x500), Some(7));
        assert_eq!(executions("events: Ir\n\ntotals: 0\n"), None);
    }

    #[test]
    fn the_difference_of_two_runs_counts() {
        let key = |file: &str, address| (file.to_owned(), address);
        let before = Executions::from([(key("/a", 1), 10), (key("/a", 2), 5), (key("???", 3), 1)]);
        let after = Executions::from([(key("/a", 1), 30), (key("/a", 2), 5), (key("/b", 1), 7), (key("???", 3), 9)]);
        let difference = by_file(&before, &after);
        assert_eq!(difference, [("/a".into(), HashMap::from([(1, 20)])), ("/b".into(), HashMap::from([(1, 7)]))]);
    }

    #[test]
    fn atomic_instructions_are_found() {
        let listing = "\
0000000000001000 <core::ptr::drop_in_place<alloc::sync::Arc<T>>>:
    1000:\tlock decq (%rax)
    1004:\tjne    1010 <main+0x10>
    1006:\txchg   %ax,%ax
    1008:\txchg   %eax,(%rbx)

0000000000001010 <main>:
    1010:\tlock cmpxchg %ecx,0x28(%rdi)
    1014:\tmov    (%rax),%rcx
    1018:\tcmpxchg %ecx,(%rdi)
";
        let drop = "core::ptr::drop_in_place<alloc::sync::Arc<T>>";
        let atomic = |address, function: &str| Atomic { address, function: function.to_owned() };
        assert_eq!(atomics(listing), [atomic(0x1000, drop), atomic(0x1008, drop), atomic(0x1010, "main")]);
    }
}
