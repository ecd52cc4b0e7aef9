//! The settings with which clients connect.

use std::net::SocketAddr;
use std::sync::Arc;

use sansocket_dial::DialOptions;
use sansocket_drive::sansocket::RequestTemplate;
#[cfg(feature = "tls")]
use sansocket_tls::ClientTls;

use crate::lookup::NameResolver;

/// The settings with which clients connect. Connections can share them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The subprotocols and the header fields of the request.
    pub template: RequestTemplate,
    /// The way to the server.
    pub dial: Arc<DialOptions>,
    /// The addresses of the host in the URL, instead of a lookup.
    pub addresses: Option<Arc<[SocketAddr]>>,
    /// What looks up names.
    pub resolver: NameResolver,
    /// The TLS configuration; `None` means [`ClientTls::shared`].
    #[cfg(feature = "tls")]
    pub tls: Option<ClientTls>,
}
