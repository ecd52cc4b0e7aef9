//! One end of a TLS connection, which checks what must hold after every call.

use allocation_counter::measure;
use sansocket::Role;
use sansocket_sim::fixed_tls::{self, NAME, Version};
use sansocket_tls::{Tls, TlsError};

/// The most memory that a call needs for a handshake, in bytes: certificates, keys, messages.
const HANDSHAKE_MEMORY_MAX: u64 = 128 * 1024;

/// Creates the TLS connection of one end.
pub(super) fn tls(role: Role, version: Version) -> Tls {
    let configs = fixed_tls::configs(version);
    match role {
        Role::Client => configs.client.layer(NAME).expect("a valid name"),
        Role::Server => configs.server.layer(),
    }
}

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) tls: Tls,
    /// The plaintext sent and received.
    pub(super) sent: Vec<u8>,
    pub(super) received: Vec<u8>,
    pub(super) has_closed: bool,
    pub(super) error: Option<TlsError>,
}

impl End {
    pub(super) fn new(role: Role, version: Version) -> Self {
        let tls = tls(role, version);
        Self { tls, sent: Vec::new(), received: Vec::new(), has_closed: false, error: None }
    }

    /// Receives ciphertext.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let pending = self.tls.pending().len();
        let (mut ciphertext, mut plaintext) = (bytes.to_vec(), Vec::new());
        let mut result = Ok(());
        let cost = measure(|| result = self.tls.receive(&mut ciphertext, &mut plaintext));
        let max = HANDSHAKE_MEMORY_MAX + 8 * bytes.len() as u64;
        assert!(cost.bytes_max <= max, "{} bytes of memory for {} bytes received", cost.bytes_max, bytes.len());
        if self.error.is_some() {
            assert!(result.is_ok() && plaintext.is_empty(), "an error is returned once, and nothing is decrypted then");
            assert_eq!(self.tls.pending().len(), pending, "output after the alert");
        }
        self.received.extend(plaintext);
        if let Err(error) = result {
            assert!(!self.tls.is_open(), "open after {error}");
            self.error = Some(error);
        }
    }

    /// Sends data if the connection is open.
    pub(super) fn send(&mut self, data: &[u8]) {
        let (is_open, pending) = (self.tls.is_open(), self.tls.pending().len());
        let result = self.tls.send(data);
        assert_eq!(result.is_ok(), is_open, "{result:?}");
        if is_open {
            self.sent.extend_from_slice(data);
        } else {
            assert_eq!(self.tls.pending().len(), pending, "output of a connection that is not open");
        }
    }

    pub(super) fn close(&mut self) {
        let pending = self.tls.pending().len();
        self.has_closed |= self.tls.is_open();
        self.tls.close();
        assert!(self.error.is_none() || self.tls.pending().len() == pending, "output after the alert");
    }

    /// Takes up to `max` bytes to write.
    pub(super) fn take(&mut self, max: usize) -> Vec<u8> {
        let pending = self.tls.pending();
        let bytes = pending[..max.min(pending.len())].to_vec();
        self.tls.advance(bytes.len());
        bytes
    }

    /// Takes all bytes to write.
    pub(super) fn written(&mut self) -> Vec<u8> {
        self.take(usize::MAX)
    }
}
