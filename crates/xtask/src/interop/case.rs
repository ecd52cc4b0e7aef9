//! The cases: the settings of both ends, and what they must agree.

use sansocket_net::sansocket::{Compression, DeflateOffer, WindowBits};

/// A client of a peer, and our server: the command `sansocket serve`.
#[derive(Debug)]
pub(super) struct ServerCase {
    /// The parameters that the client offers, as JSON.
    pub(super) offer: &'static str,
    /// The options of our server.
    pub(super) options: [&'static str; 2],
    /// The agreement.
    pub(super) agreed: &'static str,
}

/// Our client, over sansocket-net, and a server of a peer.
#[derive(Debug)]
pub(super) struct ClientCase {
    /// The settings of our client.
    pub(super) settings: Compression,
    /// The parameters that the server demands, as JSON.
    pub(super) demand: &'static str,
    /// The agreement.
    pub(super) agreed: &'static str,
}

/// The cases of `ws` and `websockets` as clients.
pub(super) const SERVER_CASES: &[ServerCase] = &[
    ServerCase {
        offer: "{}",
        options: ["--compress", "--mio"],
        agreed: "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
    },
    ServerCase {
        offer: "{}",
        options: ["--compress=small", "--blocking"],
        agreed: "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=12",
    },
    ServerCase { offer: "{}", options: ["--compress=best", "--mio"], agreed: "permessage-deflate" },
    ServerCase {
        offer: r#"{"server_max_window_bits": 9, "client_no_context_takeover": true}"#,
        options: ["--compress", "--blocking"],
        agreed: "permessage-deflate; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=12",
    },
    ServerCase {
        offer: r#"{"server_no_context_takeover": true, "client_max_window_bits": 9}"#,
        options: ["--compress=best", "--blocking"],
        agreed: "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
    },
    ServerCase {
        offer: r#"{"server_max_window_bits": 8}"#,
        options: ["--compress=best", "--mio"],
        agreed: "permessage-deflate; server_max_window_bits=8",
    },
];

/// The cases of Chromium, which always offers `permessage-deflate; client_max_window_bits`.
pub(super) const BROWSER_CASES: &[ServerCase] = SERVER_CASES.split_at(3).0;

/// Returns the cases of `ws` and `websockets` as servers.
pub(super) fn client_cases() -> [ClientCase; 6] {
    let lowered = DeflateOffer::default().server_max_window_bits(WindowBits::new(9));
    [
        ClientCase { settings: Compression::default(), demand: "{}", agreed: "permessage-deflate" },
        ClientCase {
            settings: Compression::default(),
            demand: r#"{"server_max_window_bits": 9, "client_max_window_bits": 9}"#,
            agreed: "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
        },
        ClientCase {
            settings: Compression::small(),
            demand: "{}",
            agreed: "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        },
        ClientCase {
            settings: Compression::best_ratio(),
            demand: r#"{"server_no_context_takeover": true}"#,
            agreed: "permessage-deflate; server_no_context_takeover",
        },
        ClientCase {
            settings: Compression::default(),
            demand: r#"{"client_no_context_takeover": true, "client_max_window_bits": 8}"#,
            agreed: "permessage-deflate; client_no_context_takeover; client_max_window_bits=8",
        },
        ClientCase {
            settings: Compression::default().offers([lowered]),
            demand: "{}",
            agreed: "permessage-deflate; server_max_window_bits=9",
        },
    ]
}
