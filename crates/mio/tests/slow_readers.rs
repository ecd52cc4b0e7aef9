//! Slow readers over real sockets with small buffers: everything sent to them arrives, and no deadline ends a
//! connection whose peer still reads.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use sansocket_mio::sansocket::{self, Initiator, TimeoutKind};
use sansocket_mio::{CloseCode, Connection, Error, ReadyState};
use support::paced::*;
use support::*;

/// The size of a socket's buffer; Linux doubles it.
const BUFFER: usize = 32 * 1024;
/// Messages of 2 MiB together.
const COUNT: u8 = 32;
const LENGTH: usize = 64 * 1024;
/// The slow reader's pace: 800 KB/s.
const STEP: usize = 16 * 1024;
const PAUSE: Duration = Duration::from_millis(20);
/// Far shorter than the time that the reader takes.
const TIMEOUT: Duration = Duration::from_millis(600);

/// Sends 2 MiB and closes.
fn send_all_and_close(connection: &mut Connection<'_, Recorder>) {
    if connection.ready_state() == ReadyState::Closing {
        return;
    }
    for number in 0..COUNT {
        connection.send(vec![number; LENGTH]).unwrap();
    }
    connection.close(CloseCode::NORMAL, "").unwrap();
}

/// Checks that a slow client gets all messages that a server sent before it closed, then the Close frame, which the
/// client answers. After each message, the client sends `chatter`.
fn check_close_after_messages(chatter: &[u8]) {
    let server = serve_small(
        BUFFER,
        |config| config.closing_timeout = TIMEOUT,
        |recorder| recorder.reaction = Some(send_all_and_close),
    );
    let mut client = small_client(server.address, BUFFER);
    client.write_all(HELLO).unwrap();
    let began = Instant::now();
    let mut reader = slowly(&client, STEP, PAUSE);
    let mut next = || loop {
        let frame = read_frame(&mut reader).expect("everything arrives");
        if frame.0 != 0x8a {
            return frame;
        }
    };
    for number in 0..COUNT {
        let (head, payload) = next();
        assert!(head == 0x82 && payload == [number; LENGTH], "message {number}");
        client.write_all(chatter).unwrap();
    }
    assert_eq!(next(), (0x88, vec![0x03, 0xe8]));
    assert!(began.elapsed() > 3 * TIMEOUT, "the reader was too fast for this test");
    client.write_all(CLOSE).unwrap();
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the server ends TCP");
    let close = server.close();
    assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::NORMAL, true, Initiator::Local));
    server.stop();
}

#[test]
fn messages_before_close_reach_a_slow_reader() {
    bounded(|| check_close_after_messages(b""));
}

/// The server reads while it is closing, so that unread input does not turn its end into a reset.
#[test]
fn messages_before_close_reach_a_slow_reader_that_sends_pings() {
    bounded(|| check_close_after_messages(PING));
}

/// A closing connection is read whatever is pending: the peer may have messages of its own to send.
#[test]
fn a_closing_server_reads_although_the_peer_does_not() {
    bounded(|| {
        let server = serve_small(
            BUFFER,
            |config| (config.closing_timeout, config.high_water_mark) = (2 * BOUND, LENGTH),
            |recorder| {
                recorder.reaction = Some(send_all_and_close);
                recorder.reports_messages = true;
            },
        );
        let mut client = small_client(server.address, BUFFER);
        client.write_all(HELLO).unwrap();
        server.message();
        for _ in 0..3 {
            // the whole output of the server is still pending
            client.write_all(HELLO).unwrap();
            server.message();
        }
        client.write_all(CLOSE).unwrap();
        server.wait(|seen| matches!(seen, Seen::CloseReceived(..)).then_some(()));
        let mut reader = slowly(&client, STEP, Duration::ZERO);
        for _ in 0..COUNT {
            assert_eq!(read_message(&mut reader).expect("everything arrives").len(), LENGTH);
        }
        assert_eq!(read_frame(&mut reader).unwrap(), (0x88, vec![0x03, 0xe8]));
        drop((client, reader));
        assert!(server.close().was_clean);
        server.stop();
    });
}

/// Whether the loop is still reading when FIN arrives depends on the length.
#[test]
fn an_echo_reaches_a_client_that_has_half_closed() {
    bounded(|| {
        let server = serve_small(
            BUFFER,
            |config| {
                config.closing_timeout = TIMEOUT;
                config.high_water_mark = 512 * 1024;
            },
            |recorder| recorder.reports_messages = true,
        );
        for (length, pause) in [(300 << 10, 0), (500 << 10, 0), (1 << 20, 0), (2 << 20, 20)] {
            let mut client = small_client(server.address, BUFFER);
            let mut writer = client.try_clone().unwrap();
            writer.write_all(&masked(7, length)).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
            server.message();
            let mut reader = slowly(&client, STEP, Duration::from_millis(pause));
            let payload = read_message(&mut reader).expect("everything arrives");
            assert!(payload == vec![7; length], "{} of {length} bytes", payload.len());
            assert_eq!(client.read(&mut [0]).unwrap(), 0, "no Close frame: the peer did not send one");
            let close = server.close();
            assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::ABNORMAL, false, Initiator::Peer));
        }
        server.stop();
    });
}

/// The send buffer is so large that the Ping takes longer to reach the peer than the server waits for the Pong.
const LARGE_BUFFER: usize = 128 * 1024;

#[test]
fn keepalive_does_not_end_the_connection_of_a_slow_reader() {
    bounded(|| {
        let server = serve_small(
            LARGE_BUFFER,
            |config| {
                config.keepalive = sansocket_mio::Keepalive::Every(Duration::from_millis(100));
                config.pong_timeout = TIMEOUT;
            },
            |recorder| recorder.reaction = Some(|connection| connection.send(vec![7; 1 << 20]).unwrap()),
        );
        let mut client = small_client(server.address, BUFFER / 2);
        client.write_all(HELLO).unwrap();
        let began = Instant::now();
        // 270 KB/s: what the kernel holds lasts for a second
        let mut reader = slowly(&client, 8 * 1024, Duration::from_millis(30));
        assert_eq!(read_message(&mut reader).expect("everything arrives").len(), 1 << 20);
        eprintln!("XX {:?}", began.elapsed());
        // the Ping that was queued behind the message
        assert_eq!(read_frame(&mut reader).unwrap(), (0x89, vec![]));
        client.write_all(b"\x8a\x80\0\0\0\0").unwrap();
        client.write_all(CLOSE).unwrap();
        while read_frame(&mut reader).expect("a Ping, or the Close frame").0 == 0x89 {}
        drop((client, reader));
        eprintln!("XX {:?}", began.elapsed());
        assert!(server.close().was_clean);
        eprintln!("XX {:?}", began.elapsed());
        server.stop();
        eprintln!("XX {:?}", began.elapsed());
    });
}

#[test]
fn keepalive_ends_the_connection_of_a_reader_that_has_vanished() {
    bounded(|| {
        let server = serve_small(
            LARGE_BUFFER,
            |config| {
                config.keepalive = sansocket_mio::Keepalive::Every(Duration::from_millis(100));
                config.pong_timeout = TIMEOUT;
            },
            |recorder| recorder.reaction = Some(|connection| connection.send(vec![7; 2 << 20]).unwrap()),
        );
        let mut client = small_client(server.address, BUFFER);
        client.write_all(HELLO).unwrap();
        let began = Instant::now();
        let error = server.error();
        assert!(matches!(error, Error::Peer(sansocket::Error::Timeout(TimeoutKind::Pong))), "{error:?}");
        let close = server.close();
        assert_eq!((close.code, close.was_clean, close.initiator), (CloseCode::ABNORMAL, false, Initiator::Local));
        assert!((TIMEOUT..2 * TIMEOUT).contains(&began.elapsed()), "{:?}", began.elapsed());
        server.stop();
    });
}

/// The kernel reports room only once a third of the send buffer is free, which takes a slow reader longer than the
/// closing timeout; the last bytes in the send buffer then take as long again.
#[test]
fn closing_does_not_end_the_connection_of_a_steady_reader() {
    const READERS: usize = 4;
    bounded(|| {
        let server = serve_small(
            200 * 1024,
            |config| config.closing_timeout = TIMEOUT,
            |recorder| {
                recorder.reaction = Some(|connection| {
                    connection.send(vec![7; 1 << 20]).unwrap();
                    connection.close(CloseCode::NORMAL, "").unwrap();
                });
            },
        );
        let address = server.address;
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                spawn(move || {
                    let mut client = small_client(address, BUFFER / 2);
                    client.write_all(HELLO).unwrap();
                    // 200 KB/s
                    let mut reader = slowly(&client, 6 * 1024, Duration::from_millis(30));
                    assert_eq!(read_message(&mut reader).expect("everything arrives").len(), 1 << 20);
                    assert_eq!(read_frame(&mut reader).unwrap(), (0x88, vec![0x03, 0xe8]));
                    client.write_all(CLOSE).unwrap();
                })
            })
            .collect();
        for reader in readers {
            reader.join();
        }
        for _ in 0..READERS {
            let close = server.close();
            assert!(close.was_clean && close.code == CloseCode::NORMAL, "{close:?}");
        }
        server.stop();
    });
}
