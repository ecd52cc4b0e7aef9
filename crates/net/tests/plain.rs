//! Requests that ask for no WebSocket, as load balancers send them.

mod support;

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use sansocket_net::HttpResponse;
use sansocket_net::sansocket::HttpVersion;
use support::*;

#[test]
fn the_check_of_a_load_balancer_gets_the_applications_answer() {
    bounded(|| {
        for (request, version) in [
            ("GET /healthz HTTP/1.0\r\n\r\n", HttpVersion::Http10),
            ("GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n", HttpVersion::Http10),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", HttpVersion::Http11),
        ] {
            for fin in [false, true] {
                let (listener, address) = listen();
                let server = serve(listener, move |mut incoming| {
                    assert!(incoming.is_plain().unwrap());
                    assert_eq!(incoming.request().unwrap().version(), version);
                    incoming.respond(HttpResponse::new(200).body("text/plain", "well")).unwrap();
                });
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(request.as_bytes()).unwrap();
                if fin {
                    client.shutdown(Shutdown::Write).unwrap();
                }
                let answer = String::from_utf8(read_rest(&mut client)).unwrap();
                drop(client);
                assert_eq!(
                    answer,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nwell"
                );
                server.join();
            }
        }
    });
}
