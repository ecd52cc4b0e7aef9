//! The participants: which of them is ours, which are limits, and which are other libraries.

/// The participant that is compared with the others: sansocket, driven as its event loop does.
pub(super) const OURS: &str = "sansocket";
/// The lower limit of every participant: copying the bytes once.
pub(super) const LIMIT: &str = "memcpy";
/// The least work for the same contract, including the work on every byte, such as unmasking.
pub(super) const FLOOR: &str = "floor";

/// The other libraries, in the order of the lock file.
const PEERS: [&str; 10] = [
    "fastwebsockets",
    "shiguredo_websocket",
    "simdutf8",
    "sockudo-ws",
    "soketto",
    "tokio-websockets",
    "tungstenite",
    "web-socket",
    "websocket-sans-io",
    "yawc",
];

/// Returns whether a participant is another library, and does the same work.
pub(super) fn is_peer(name: &str) -> bool {
    PEERS.contains(&name)
}

/// Returns how a library passes a received message to the application, if it does not lend its read buffer.
pub(super) fn delivery(name: &str) -> Option<&'static str> {
    match name {
        "soketto" => Some("copied"),
        "websocket-sans-io" => None,
        _ => is_peer(name).then_some("owned"),
    }
}
