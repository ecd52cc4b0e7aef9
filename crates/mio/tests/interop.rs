//! The event loop with tungstenite as its peer, in both roles.

mod support;

use sansocket_mio::{CloseCode, Message};
use support::*;
use tungstenite::Message as Theirs;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// Lengths around every boundary of the protocol and of the read buffer.
const LENGTHS: [usize; 13] = [0, 1, 20, 125, 126, 4_096, 65_522, 65_535, 65_536, 65_550, 200_000, 1 << 20, 16 << 20];

#[test]
fn a_server_echoes_text_and_binary_of_any_length() {
    bounded(|| {
        let server = serve(|_| ());
        let mut client = client(server.address);
        for length in LENGTHS {
            for message in [Theirs::text("x".repeat(length)), Theirs::binary(vec![7; length])] {
                client.send(message.clone()).unwrap();
                assert!(client.read().unwrap() == message, "{length} bytes");
            }
        }
        client.close(None).unwrap();
        while client.read().is_ok() {}
        assert_eq!(server.close().code, CloseCode::NO_STATUS);
        server.stop();
    });
}

#[test]
fn a_client_echoes_text_and_binary_of_any_length() {
    bounded(|| {
        let (address, peer) = peer_server(|mut ws| {
            for length in LENGTHS {
                for message in [Theirs::text("x".repeat(length)), Theirs::binary(vec![7; length])] {
                    ws.send(message.clone()).unwrap();
                    // tungstenite sends a longer message back in fragments, which are assembled
                    assert!(ws.read().unwrap() == message, "{length} bytes");
                }
            }
            ws.close(None).unwrap();
            while ws.read().is_ok() {}
        });
        let client = run(
            &options(|_| ()),
            |_| (),
            |event_loop| {
                event_loop.connect(&format!("ws://{address}/")).unwrap();
            },
        );
        client.open();
        assert!(client.close().was_clean);
        peer.join();
        client.stop();
    });
}

#[test]
fn fragments_become_messages_and_control_frames_pass_between_them() {
    bounded(|| {
        let server = serve(|_| ());
        let mut client = client(server.address);
        let frame =
            |data, fin, bytes: &str| Theirs::Frame(Frame::message(bytes.as_bytes().to_vec(), OpCode::Data(data), fin));
        client.send(frame(Data::Text, false, "Hel")).unwrap();
        client.send(Theirs::Ping("between".into())).unwrap();
        client.send(frame(Data::Continue, false, "l")).unwrap();
        client.send(frame(Data::Continue, true, "o")).unwrap();
        assert_eq!(client.read().unwrap(), Theirs::Pong("between".into()));
        assert_eq!(client.read().unwrap(), Theirs::text("Hello"));
    });
}

#[test]
fn many_messages_in_flight_come_back_in_order() {
    bounded(|| {
        let server = serve(|_| ());
        let mut clients: Vec<_> = (0..32).map(|_| client(server.address)).collect();
        for round in 0..20 {
            for client in &mut clients {
                for number in 0..16 {
                    client.write(Theirs::text(format!("{round}.{number}"))).unwrap();
                }
                client.flush().unwrap();
            }
            for client in &mut clients {
                for number in 0..16 {
                    assert_eq!(client.read().unwrap(), Theirs::text(format!("{round}.{number}")));
                }
            }
        }
    });
}

#[test]
fn either_side_closes() {
    bounded(|| {
        // tungstenite's client closes the connection, then our server does
        let server = serve_with(|_| (), |recorder| recorder.reports_messages = true);
        let mut theirs = client(server.address);
        server.open();
        let code = tungstenite::protocol::frame::coding::CloseCode::from(4_000);
        theirs.close(Some(tungstenite::protocol::CloseFrame { code, reason: "enough".into() })).unwrap();
        while theirs.read().is_ok() {}
        let close = server.close();
        assert_eq!((close.code.as_u16(), &*close.reason, close.was_clean), (4_000, "enough", true));

        let mut theirs = client(server.address);
        let id = server.open();
        server.handle.send(id, "last words").unwrap();
        server.handle.close(id, CloseCode::new(4_001).unwrap(), "go").unwrap();
        assert_eq!(theirs.read().unwrap(), Theirs::text("last words"));
        let Theirs::Close(Some(frame)) = theirs.read().unwrap() else { panic!() };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4_001, "go"));
        while theirs.read().is_ok() {}
        assert!(server.close().was_clean);

        // our client closes
        let (address, peer) = peer_server(|mut ws| {
            ws.send(Theirs::text("Hello")).unwrap();
            while ws.read().is_ok() {}
        });
        let client = run(
            &options(|_| ()),
            |recorder| recorder.reports_messages = true,
            |event_loop| {
                event_loop.connect(&format!("ws://{address}/")).unwrap();
            },
        );
        let id = client.open();
        assert_eq!(client.message(), Message::from("Hello"));
        client.handle.close(id, CloseCode::NORMAL, "").unwrap();
        let close = client.close();
        assert!(close.was_clean, "{close:?}");
        peer.join();
        client.stop();
        server.stop();
    });
}

/// Both ends are connections of one loop.
#[test]
fn a_loop_talks_to_itself() {
    bounded(|| {
        let both = serve_with(|_| (), |recorder| (recorder.reports_messages, recorder.echoes) = (true, false));
        let url = both.url();
        let client = run(
            &options(|_| ()),
            |recorder| recorder.echoes = false,
            |event_loop| {
                event_loop.connect(&url).unwrap();
            },
        );
        let id = client.open();
        client.handle.send(id, "Hello").unwrap();
        assert_eq!(both.message(), Message::from("Hello"));
        client.handle.close(id, CloseCode::NORMAL, "").unwrap();
        assert!(both.close().was_clean);
        assert!(client.close().was_clean);
    });
}
