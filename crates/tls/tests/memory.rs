//! The memory of connections, in bytes of the heap. One test, since the counter is that of the thread.
use sansocket_tls::{ClientTls, SelfSigned, ServerTls, Tls};

fn carry(from: &mut Tls, to: &mut Tls) -> usize {
    let mut plaintext = Vec::new();
    while !from.pending().is_empty() {
        let mut bytes = from.pending().to_vec();
        from.advance(bytes.len());
        to.receive(&mut bytes, &mut plaintext).unwrap();
    }
    plaintext.len()
}

#[test]
fn probe() {
    let certificate = SelfSigned::new(["localhost"]).unwrap();
    let client_tls = ClientTls::builder().only_roots(certificate.roots()).build().unwrap();
    let server_tls = ServerTls::new(certificate.identity).unwrap();
    let mut ends = None;
    let mut run = || {
        let (mut client, mut server) = (client_tls.layer("localhost").unwrap(), server_tls.layer());
        for _ in 0..4 {
            carry(&mut client, &mut server);
            carry(&mut server, &mut client);
        }
        assert!(client.is_open() && server.is_open());
        client.send(b"hello").unwrap();
        carry(&mut client, &mut server);
        server.send(b"hello").unwrap();
        carry(&mut server, &mut client);
        (client, server)
    };
    drop(run());
    drop(run());
    let info = allocation_counter::measure(|| ends = Some(run()));
    println!("both {info:?}");
    let (client, server) = ends.unwrap();
    let info = allocation_counter::measure(|| drop(server));
    println!("server {info:?}");
    let info = allocation_counter::measure(|| drop(client));
    println!("client {info:?}");
}
