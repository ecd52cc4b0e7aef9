//! File descriptors: they are closed, and a loop survives their exhaustion. One test, since it counts for the process.
#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::time::Duration;

use sansocket_mio::{ListenOptions, Options};
use support::*;

/// Returns the CPU time of all threads of this process, read from a file that is already open.
fn cpu_time(stat: &mut File) -> Duration {
    let mut text = String::new();
    stat.rewind().unwrap();
    stat.read_to_string(&mut text).unwrap();
    // the 14th and 15th fields, in ticks of 10 ms, behind the name, which is in parentheses
    let fields = text.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    Duration::from_millis(10 * fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>())
}

#[test]
fn descriptors_are_closed_and_their_exhaustion_is_survived() {
    bounded(|| {
        // a failed attempt to accept does not count against the limit
        let (limit, mut address) = (ListenOptions::new().max_connections(3), None);
        let mut server = run(
            &Options::new(),
            |_| (),
            |event_loop| {
                address = Some(event_loop.listen_with("127.0.0.1:0", &limit).unwrap());
            },
        );
        server.address = address.unwrap();
        let before = open_descriptors();
        for number in 0..1_000 {
            let mut stream = tcp(server.address);
            match number % 3 {
                0 => {}
                1 => stream.write_all(b"GET ").unwrap(),
                _ => {
                    stream.write_all(REQUEST.as_bytes()).unwrap();
                    read_head(&mut stream);
                    server.open();
                    reset(stream);
                    server.close();
                }
            }
        }
        // the last connection may still be ending
        while open_descriptors() > before {
            std::thread::yield_now();
        }

        // the kernel connects a client before it is accepted; meanwhile the test uses up the last descriptors
        let mut served = raw_client(server.address);
        let mut waiting: Vec<_> = Vec::new();
        let mut stat = File::open("/proc/self/stat").unwrap();
        let mut hoard: Vec<File> = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        hoard.pop();
        waiting.push(tcp(server.address));
        let (kind, os) =
            server.wait(|seen| if let Seen::AcceptError(kind, os) = seen { Some((kind, os)) } else { None });
        assert_eq!(os, Some(24), "EMFILE, not {kind}");
        // other clients are served
        served.write_all(HELLO).unwrap();
        expect(&mut served, b"\x81\x05Hello");
        // the failure is reported once, and the loop recovers; it does not spin meanwhile
        let before = cpu_time(&mut stat);
        std::thread::sleep(Duration::from_secs(1));
        let spent = cpu_time(&mut stat) - before;
        assert!(spent < Duration::from_millis(150), "{spent:?} of a second");
        drop(hoard);
        for mut stream in waiting {
            stream.write_all(REQUEST.as_bytes()).unwrap();
            assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
        }
        assert!(!server.seen.try_iter().any(|seen| matches!(seen, Seen::AcceptError(..))));
        // a new failure is reported again
        let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        hoard.pop();
        let _waiting = tcp(server.address);
        server.wait(|seen| matches!(seen, Seen::AcceptError(..)).then_some(()));
        drop(hoard);
        server.stop();
    });
}
