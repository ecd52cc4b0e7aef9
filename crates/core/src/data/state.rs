//! The role and the state of an endpoint, and the actions of its driver on the transport.

/// The side of the connection that an endpoint is. The client masks the frames that it sends (RFC 6455 section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a WebSocket connection has two ends")]
pub enum Role {
    /// The endpoint that opened the connection.
    Client,
    /// The endpoint that accepted the connection.
    Server,
}

/// The state of a connection, numbered as in the WebSocket API of browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the WebSocket API has these four")]
#[repr(u8)]
pub enum ReadyState {
    /// The opening handshake is under way.
    Connecting = 0,
    /// Messages can be sent.
    Open = 1,
    /// A Close frame was queued or received, or the connection failed.
    Closing = 2,
    /// The connection is over.
    Closed = 3,
}

/// The action on the transport that the driver has to take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle each of these")]
pub enum TransportAction {
    /// Keep reading and writing.
    Open,
    /// All output is delivered and none will follow. Close the sending direction (`shutdown(SHUT_WR)`), and keep
    /// reading until the deadline or the end of the stream, which `receive_eof` reports. `receive` discards the bytes.
    ShutdownWrite,
    /// The connection is over, and all output was delivered: close the transport.
    Close,
    /// The connection is over, and the rest of the output was dropped: drop the transport without waiting for the peer.
    /// On TCP, set `SO_LINGER` to zero before closing; otherwise a peer that never reads keeps megabytes in the kernel.
    Abort,
}
