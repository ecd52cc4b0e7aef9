//! Settings and agreement as values.

use sansocket::{
    Agreement, Compression, CompressionLevel, Config, Connection, DeflateOffer, Event, Input, MemoryLevel, WebSocket,
    WindowBits,
};

use crate::support::{NOW, bits, confirm, rng, serve_lines};

#[test]
fn ranges() {
    for number in 0..=u8::MAX {
        assert_eq!(WindowBits::new(number).map(WindowBits::get), (8..=15).contains(&number).then_some(number));
        assert_eq!(CompressionLevel::new(number).map(CompressionLevel::get), (number <= 9).then_some(number));
        assert_eq!(MemoryLevel::new(number).map(MemoryLevel::get), (1..=9).contains(&number).then_some(number));
    }
    assert_eq!((WindowBits::MIN.size(), bits(12).size(), WindowBits::MAX.size()), (256, 4096, 32_768));
}

#[test]
fn setters_set_their_fields() {
    let level = CompressionLevel::new(9).unwrap();
    let memory_level = MemoryLevel::new(1).unwrap();
    let offer = DeflateOffer::default().client_no_context_takeover(true);
    let set = Compression::default()
        .level(level)
        .memory_level(memory_level)
        .window_bits(bits(9))
        .peer_window_bits(bits(10))
        .context_takeover(false)
        .peer_context_takeover(false)
        .sent_history(1)
        .threshold(2)
        .offers([offer]);
    assert_eq!(
        (set.level, set.memory_level, set.window_bits, set.peer_window_bits),
        (level, memory_level, bits(9), bits(10))
    );
    assert_eq!((set.context_takeover, set.peer_context_takeover), (false, false));
    assert_eq!((set.sent_history, set.threshold, &set.offers[..]), (1, 2, &[offer][..]));
    assert_eq!(Config::default().compression, None);
    assert_eq!(Config::default().compression(set.clone()).compression, Some(set));
}

/// Deflate 68: in both roles, the connection takes over an agreement that was negotiated elsewhere, and reports it.
#[test]
fn a_connection_reports_the_agreement_of_another_handshake() {
    let of_server = serve_lines(&["permessage-deflate; client_max_window_bits"], Compression::default()).unwrap();
    let of_server = of_server.agreement.unwrap();
    let of_client = confirm(&of_server.to_string(), Compression::default()).unwrap();
    assert_eq!(of_client, of_server);
    let agreement = Agreement::new().with_compression(of_client);
    assert!(!agreement.is_empty());
    for connection in [Connection::client(Config::default(), rng(), NOW), Connection::server(Config::default(), NOW)] {
        let mut ws = WebSocket::opened(connection.with_agreement(agreement.clone()), []);
        assert_eq!((ws.compression(), ws.protocol()), (Some(of_client), None));
        let Ok(Some(Event::Open(open))) = ws.receive(&mut Input::new(&mut []), NOW) else { panic!("not open") };
        assert_eq!(open.compression(), Some(of_client));
        assert_eq!(ws.compression(), Some(of_client));
    }
}

/// Deflate 5, 28: whatever a client of this crate offers, it confirms what a server of this crate answers, with the same
/// agreement, unless the client promised more than it was asked for.
#[test]
fn both_ends_agree() {
    let windows = [None, Some(bits(8)), Some(bits(12)), Some(bits(15))];
    let flags = [(false, false), (false, true), (true, false), (true, true)];
    let servers = [Compression::default(), Compression::small(), Compression::best_ratio()];
    for server_window in windows {
        for client_window in windows {
            for (server_no_takeover, client_no_takeover) in flags {
                let offer = DeflateOffer::default()
                    .server_no_context_takeover(server_no_takeover)
                    .client_no_context_takeover(client_no_takeover)
                    .server_max_window_bits(server_window)
                    .client_max_window_bits(client_window);
                for server in servers.clone() {
                    let served = serve_lines(&[&offer.to_string()], server).unwrap();
                    let confirmed = confirm(&served.answer[0], Compression::default().offers([offer])).unwrap();
                    assert_eq!(Some(confirmed), served.agreement, "{offer}");
                }
            }
        }
    }
}
