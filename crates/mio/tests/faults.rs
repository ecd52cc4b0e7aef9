//! Peers that misbehave, vanish or are slow. The other connections are served meanwhile.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sansocket_mio::sansocket::{HandshakeError, TimeoutKind};
use sansocket_mio::{CloseCode, DialError, Error, sansocket};
use support::paced::masked;
use support::*;
use tungstenite::Message as Theirs;

/// Checks that another client is served.
fn check_others(server: &Running) {
    let mut other = raw_client(server.address);
    other.write_all(HELLO).unwrap();
    expect(&mut other, b"\x81\x05Hello");
}

#[test]
fn a_peer_that_never_reads_is_bounded_and_does_not_harm_others() {
    bounded(|| {
        let server = serve(|config| {
            config.high_water_mark = 256 * 1024;
            config.max_message_size = 64 * 1024;
        });
        let mut greedy = raw_client(server.address);
        let id = server.open();
        greedy.set_write_timeout(Some(SHORT)).unwrap();
        // until the server has stopped reading, and the buffers of both kernels are full
        let message = masked(0, 64 * 1024);
        let mut sent = 0;
        while let Ok(count) = greedy.write(&message[sent % message.len()..]) {
            sent += count;
        }
        check_others(&server);
        // once it reads again, it is served again: on_writable is called once
        let reading = spawn({
            let mut greedy = greedy.try_clone().unwrap();
            move || {
                let expected = sent / message.len() * (10 + 64 * 1024);
                let mut buffer = vec![0; 1 << 20];
                let mut got = 0;
                while got < expected {
                    got += greedy.read(&mut buffer).unwrap();
                }
            }
        });
        let (writable, amount) =
            server.wait(|seen| if let Seen::Writable(id, amount) = seen { Some((id, amount)) } else { None });
        assert_eq!(writable, id);
        assert!(amount <= 128 * 1024, "{amount}");
        reading.join();
        server.stop();
    });
}

#[test]
fn a_peer_that_never_reads_its_broadcasts_is_reported() {
    bounded(|| {
        let server = serve(|config| config.max_buffered_amount = 1 << 20);
        let _deaf = raw_client(server.address);
        let id = server.open();
        let mut listener = client(server.address);
        server.open();
        let text = "x".repeat(100_000);
        let failed = loop {
            server.handle.broadcast(&text).unwrap();
            assert_eq!(listener.read().unwrap(), Theirs::text(&text));
            if let Ok(Seen::Error(failed, Error::Send(error))) = server.seen.try_recv() {
                assert!(matches!(error, sansocket::SendError::BufferFull { .. }), "{error}");
                break failed;
            }
        };
        assert_eq!(failed, id);
        check_others(&server);
    });
}

#[test]
fn opening_handshakes_that_drip_end_at_their_deadline() {
    const COUNT: usize = 1_000;
    const DEADLINE: Duration = Duration::from_secs(2);
    bounded(|| {
        let server = serve(|config| {
            config.opening_timeout = DEADLINE;
            config.closing_timeout = Duration::from_millis(500);
        });
        let began = Instant::now();
        let mut stuck = tcp(server.address);
        stuck.write_all(b"GET /").unwrap();
        let mut slow: Vec<_> = (0..COUNT).map(|_| tcp(server.address)).collect();
        let dripping = spawn(move || {
            // a byte each, while the server accepts them: if bytes put off the deadline, this would never end
            let mut request = b"GET /".iter().chain(std::iter::repeat(&b'a'));
            while !slow.is_empty() {
                let byte = [*request.next().unwrap()];
                slow.retain_mut(|stream| stream.write_all(&byte).is_ok());
                std::thread::sleep(SHORT);
            }
        });
        // other clients are served meanwhile
        while began.elapsed() < DEADLINE * 3 / 4 {
            let began = Instant::now();
            check_others(&server);
            assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
        }
        for number in 0..=COUNT {
            let error = server.error();
            assert!(number > 0 || began.elapsed() >= DEADLINE, "{:?}", began.elapsed());
            assert!(matches!(error, Error::Peer(sansocket::Error::Timeout(TimeoutKind::Opening))), "{error:?}");
        }
        let answer = String::from_utf8(read_rest(&mut stuck)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        dripping.join();
        server.stop();
    });
}

#[test]
fn resets_at_every_stage_are_survived() {
    bounded(|| {
        let server = serve(|_| ());
        // before a byte, within the request
        for bytes in [&b""[..], b"GET /chat HT"] {
            let mut stream = tcp(server.address);
            stream.write_all(bytes).unwrap();
            reset(stream);
            let error = server.error();
            assert!(
                matches!(error, Error::Peer(sansocket::Error::Handshake(HandshakeError::UnexpectedEof))),
                "{error:?}"
            );
        }
        // open, within a frame, within a message, after messages, after our Close frame, after theirs
        for bytes in [&b""[..], &HELLO[..3], &HELLO[..8], &HELLO.repeat(1_000), &[HELLO, CLOSE].concat(), CLOSE] {
            let mut stream = raw_client(server.address);
            server.open();
            stream.write_all(bytes).unwrap();
            reset(stream);
            let close = server.close();
            assert!(matches!(close.code, CloseCode::ABNORMAL | CloseCode::NORMAL), "{close:?}");
        }
        let stream = raw_client(server.address);
        let id = server.open();
        server.handle.close(id, CloseCode::NORMAL, "").unwrap();
        reset(stream);
        assert!(!server.close().was_clean);
        check_others(&server);
        server.stop();
    });
}

#[test]
fn resets_by_a_server_are_survived_at_every_stage() {
    const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    bounded(|| {
        // before the request is read, within the response, and once it is complete
        for (reads, response) in [(false, &b""[..]), (true, b""), (true, &RESPONSE[..20]), (true, RESPONSE)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            let client = run(&options(|_| ()), |_| (), |event_loop| _ = event_loop.connect(&url).unwrap());
            let mut stream = listener.accept().unwrap().0;
            if reads {
                read_head(&mut stream);
            }
            stream.write_all(response).unwrap();
            reset(stream);
            match client.next() {
                Seen::ConnectError(DialError::Opening(Error::Peer(sansocket::Error::Handshake(error)))) => {
                    assert_eq!(error, HandshakeError::UnexpectedEof);
                }
                // the reset came before the client knew that it was connected
                Seen::ConnectError(DialError::Unreachable(_)) if !reads => {}
                other => panic!("{other:?}"),
            }
            // never open, never closed
            client.handle.stop().unwrap();
            assert!(client.seen.recv().is_err());
        }
        // open: within a frame, after a Ping, after a Close frame
        for bytes in [&b""[..], b"\x81\x05Hel", b"\x89\0", b"\x88\x02\x03\xe8"] {
            let (address, peer) = peer_server(move |mut ws| {
                ws.get_mut().write_all(bytes).unwrap();
                reset(ws.into_inner());
            });
            let url = format!("ws://{address}/");
            let client = run(&options(|_| ()), |_| (), |event_loop| _ = event_loop.connect(&url).unwrap());
            client.open();
            let code = client.close().code;
            assert!(matches!(code, CloseCode::ABNORMAL | CloseCode::NORMAL), "{code}");
            peer.join();
            client.handle.stop().unwrap();
            assert!(client.seen.recv().is_err());
        }
    });
}

#[test]
fn resets_while_a_request_is_pending_are_survived() {
    bounded(|| {
        let server = serve_with(|_| (), |recorder| recorder.answers_later = true);
        let mut stream = tcp(server.address);
        stream.write_all(REQUEST.as_bytes()).unwrap();
        let id = server.wait(|seen| if let Seen::Request(id, _) = seen { Some(id) } else { None });
        reset(stream);
        let error = server.error();
        assert!(matches!(error, Error::Peer(sansocket::Error::Handshake(HandshakeError::UnexpectedEof))), "{error:?}");
        // the connection has ended, and the answer comes too late
        server.handle.answer(id, sansocket_mio::Accept::new()).unwrap();
        server.handle.stop().unwrap();
        assert!(server.seen.recv().is_err());
    });
}

#[test]
fn a_reset_while_output_is_pending_ends_the_connection() {
    bounded(|| {
        let server = serve(|_| ());
        let stream = raw_client(server.address);
        let id = server.open();
        server.handle.send(id, vec![7; 32 << 20]).unwrap();
        let mut stream = stream;
        expect(&mut stream, &[0x02]);
        reset(stream);
        assert_eq!(server.close().code, CloseCode::ABNORMAL);
        server.stop();
    });
}

#[test]
fn messages_of_a_peer_that_vanished_are_received() {
    bounded(|| {
        let server = serve(|_| ());
        let mut stream = raw_client(server.address);
        let id = server.open();
        server.handle.send(id, vec![7; 32 << 20]).unwrap();
        expect(&mut stream, &[0x02]);
        // while so much output is pending, the peer is not read and cannot be answered
        stream.write_all(CLOSE).unwrap();
        reset(stream);
        let close = server.close();
        assert_eq!((close.code, close.was_clean), (CloseCode::NORMAL, false));
        server.stop();
    });
}

#[test]
fn half_closed_peers_receive_pending_output() {
    bounded(|| {
        let server = serve(|_| ());
        // a Close frame, then FIN: the answer comes, then the server's FIN
        let mut stream = raw_client(server.address);
        stream.write_all(&[HELLO, CLOSE].concat()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_rest(&mut stream), b"\x81\x05Hello\x88\x02\x03\xe8");
        assert!(server.close().was_clean);
        // FIN without a Close frame ends the connection; the peer reads no further than the end
        let mut stream = raw_client(server.address);
        stream.write_all(&HELLO[..4]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_rest(&mut stream);
        assert_eq!(server.close().code, CloseCode::ABNORMAL);
        // FIN within the request
        let mut stream = tcp(server.address);
        stream.write_all(b"GET ").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_rest(&mut stream), b"");
        server.error();
        server.stop();
    });
}

#[test]
fn the_connection_to_a_peer_that_does_not_end_tcp_ends() {
    bounded(|| {
        let server = serve(|config| config.closing_timeout = SHORT);
        let mut stream = raw_client(server.address);
        stream.write_all(CLOSE).unwrap();
        expect(&mut stream, b"\x88\x02\x03\xe8");
        // the connection was closed cleanly whether or not the peer ends TCP
        let close = server.close();
        assert_eq!((close.code, close.was_clean), (CloseCode::NORMAL, true));
        // a peer that does not answer
        let _stream = raw_client(server.address);
        let id = server.open();
        server.handle.close(id, CloseCode::NORMAL, "").unwrap();
        assert_eq!(server.close().code, CloseCode::ABNORMAL);
        server.stop();
    });
}

#[test]
fn a_flood_of_pings_is_answered_and_does_not_harm_others() {
    const PINGS: usize = 100_000;
    bounded(|| {
        let server = serve(|_| ());
        let mut flood = raw_client(server.address);
        let writing = spawn({
            let mut flood = flood.try_clone().unwrap();
            move || flood.write_all(&PING.repeat(PINGS)).unwrap()
        });
        check_others(&server);
        writing.join();
        // beyond a limit, only the latest Pong is kept, so there may be fewer
        flood.write_all(CLOSE).unwrap();
        let answers = read_rest(&mut flood);
        let pongs = answers.strip_suffix(b"\x88\x02\x03\xe8").expect("the Close frame is last");
        assert!(pongs.chunks(3).all(|pong| pong == PONG) && !pongs.is_empty());
        server.close();
        server.stop();
    });
}

#[test]
fn a_peer_that_breaks_the_protocol_gets_a_close_frame() {
    bounded(|| {
        let server = serve(|_| ());
        let mut stream = raw_client(server.address);
        stream.write_all(b"\x81\x05Hello").unwrap();
        let answer = read_rest(&mut stream);
        assert_eq!(&answer[..4], [0x88, answer.len() as u8 - 2, 0x03, 0xea]);
        assert!(matches!(server.error(), Error::Peer(sansocket::Error::Protocol(_))));
        assert_eq!(server.close().code, CloseCode::ABNORMAL);
        server.stop();
    });
}

#[test]
fn a_silent_peer_is_pinged_and_its_connection_ends() {
    bounded(|| {
        let server = serve(|config| {
            config.keepalive = sansocket_mio::Keepalive::Every(SHORT);
            config.pong_timeout = SHORT;
        });
        // the connection of a peer that answers stays open
        let mut lively = client(server.address);
        server.open();
        for _ in 0..3 {
            assert!(matches!(lively.read().unwrap(), Theirs::Ping(_)));
            lively.flush().unwrap();
        }
        drop(lively);
        server.close();
        let mut silent = raw_client(server.address);
        expect(&mut silent, b"\x89\0");
        assert_eq!(read_rest(&mut silent), b"");
        let error = server.error();
        assert!(matches!(error, Error::Peer(sansocket::Error::Timeout(TimeoutKind::Pong))), "{error:?}");
        assert_eq!(server.close().code, CloseCode::ABNORMAL);
        server.stop();
    });
}

#[test]
fn a_busy_peer_does_not_starve_the_others() {
    bounded(|| {
        let server = serve_with(|_| (), |recorder| recorder.echoes = false);
        let mut busy: Vec<TcpStream> = (0..2).map(|_| raw_client(server.address)).collect();
        for stream in &mut busy {
            let mut stream = stream.try_clone().unwrap();
            // until its connection ends
            spawn(move || while stream.write_all(&HELLO.repeat(10_000)).is_ok() {});
        }
        let mut other = raw_client(server.address);
        let began = Instant::now();
        for _ in 0..20 {
            other.write_all(PING).unwrap();
            expect(&mut other, PONG);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        for stream in busy {
            stream.shutdown(Shutdown::Both).unwrap();
        }
    });
}

#[test]
fn plain_http_gets_426_and_a_foreign_page_403() {
    bounded(|| {
        let server = serve(|_| ());
        let mut stream = tcp(server.address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let answer = String::from_utf8(read_rest(&mut stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
        let mut stream = tcp(server.address);
        stream.write_all(REQUEST.replace("\r\n\r\n", "\r\nOrigin: http://evil.example\r\n\r\n").as_bytes()).unwrap();
        let answer = String::from_utf8(read_rest(&mut stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(matches!(server.error(), Error::Answer(sansocket::AnswerError::OriginForbidden)));
        server.stop();
    });
}
