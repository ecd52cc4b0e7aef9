//! HTTP requests that request no WebSocket: answered at once, later, or with an acceptance.

mod support;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;

use sansocket_mio::sansocket::{AnswerError, HttpVersion};
use sansocket_mio::{
    Accept, Answer, Connection, ConnectionId, Error, EventLoop, Handle, Handler, HttpResponse, Options, Request,
};
use support::*;

/// Answers by the path of the request.
struct Pages {
    asked: mpsc::Sender<ConnectionId>,
    errors: mpsc::Sender<Error>,
}

impl Handler for Pages {
    type Data = ();
    type Event = ();

    fn on_http_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        match request.path() {
            "/healthz" if request.version() == HttpVersion::Http10 => HttpResponse::new(200).into(),
            "/accepted" => Accept::new().into(),
            _ => {
                self.asked.send(connection.id()).unwrap();
                Answer::Later
            }
        }
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, error: Error) {
        self.errors.send(error).unwrap();
    }
}

/// Runs an event loop while `clients` runs, and returns the reported errors. `clients` gets a function that sends a
/// request for a path, with or without FIN, and returns the stream.
fn serve(
    options: &Options,
    clients: impl FnOnce(&dyn Fn(&str, bool) -> TcpStream, &Handle<Pages>, &dyn Fn() -> ConnectionId),
) -> Vec<Error> {
    let ((asked, asked_at), (errors, reported)) = (mpsc::channel(), mpsc::channel());
    let mut event_loop = EventLoop::with_options(Pages { asked, errors }, options).unwrap();
    let address = event_loop.listen("127.0.0.1:0").unwrap();
    let handle = event_loop.handle();
    let running = spawn(move || event_loop.run().unwrap());
    let ask = |path: &str, fin: bool| {
        let mut stream = tcp(address);
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        if fin {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        stream
    };
    clients(&ask, &handle, &|| asked_at.recv_timeout(BOUND).unwrap());
    handle.stop().unwrap();
    running.join();
    reported.iter().collect()
}

fn text(mut stream: TcpStream) -> String {
    String::from_utf8(read_rest(&mut stream)).unwrap()
}

#[test]
fn a_plain_request_is_answered_at_once_or_later_also_after_fin() {
    bounded(|| {
        let errors = serve(&Options::new(), |ask, handle, asked| {
            for fin in [false, true] {
                let answer = text(ask("/healthz", fin));
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\nConnection: close\r\n"), "{answer}");
                let stream = ask("/later", fin);
                let id = asked();
                handle.answer(id, HttpResponse::new(200).body("text/plain", "well")).unwrap();
                assert_eq!(
                    text(stream),
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nwell"
                );
            }
        });
        assert!(errors.is_empty(), "{errors:?}");
    });
}

#[test]
fn a_plain_request_that_is_accepted_gets_426() {
    bounded(|| {
        let errors = serve(&Options::new(), |ask, handle, asked| {
            let at_once = ask("/accepted", false);
            assert!(text(at_once).starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
            let later = ask("/later", false);
            handle.answer(asked(), Accept::new()).unwrap();
            assert!(text(later).starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
        });
        assert!(matches!(errors[..], [Error::Answer(AnswerError::NotWebSocket), Error::Answer(_)]), "{errors:?}");
    });
}

#[test]
fn a_plain_request_that_stays_unanswered_gets_503_at_the_deadline() {
    bounded(|| {
        let mut config = sansocket_mio::Config::default();
        config.opening_timeout = SHORT;
        let errors = serve(&Options::new().config(config), |ask, _, asked| {
            let stream = ask("/never", false);
            asked();
            assert!(text(stream).starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        });
        assert!(matches!(errors[..], [Error::Peer(_)]), "{errors:?}");
    });
}
