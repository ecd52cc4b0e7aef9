//! `Handler::Data`: it exists from the first call for a connection to the last, and is dropped with the connection.

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;

use sansocket_mio::{
    Answer, Close, Connection, ConnectionId, Connections, Connector, DialError, Error, EventLoop, Handler, Message,
    Open, Request,
};
use support::*;
use tungstenite::Message as Theirs;

/// Notes every call for a connection in its data, and reports the data at the end.
struct Diary(mpsc::Sender<(Option<ConnectionId>, Vec<&'static str>)>);

impl Handler for Diary {
    type Data = Vec<&'static str>;
    type Event = ();

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        connection.data_mut().push("accept");
    }

    fn on_request(&mut self, connection: &mut Connection<'_, Self>, request: &Request) -> Answer {
        connection.data_mut().push("request");
        connection.default_accept(request).into()
    }

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        connection.data_mut().push("open");
    }

    fn on_message(&mut self, connection: &mut Connection<'_, Self>, _: Message<'_>) {
        connection.data_mut().push("message");
    }

    fn on_error(&mut self, connection: &mut Connection<'_, Self>, _: Error) {
        connection.data_mut().push("error");
        self.0.send((Some(connection.id()), connection.data().clone())).unwrap();
    }

    fn on_connect_error(&mut self, _: &mut Connections<Self>, mut data: Self::Data, _: DialError) {
        data.push("connect error");
        self.0.send((None, data)).unwrap();
    }

    fn on_close(&mut self, connection: &mut Connection<'_, Self>, _: Close) {
        connection.data_mut().push("close");
        self.0.send((Some(connection.id()), connection.data().clone())).unwrap();
    }
}

#[test]
fn data_lives_from_on_accept_to_on_close_and_the_next_connection_begins_with_the_default() {
    bounded(|| {
        let (report, reports) = mpsc::channel();
        let mut event_loop = EventLoop::new(Diary(report)).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        let handle = event_loop.handle();
        let running = spawn(move || event_loop.run().unwrap());
        let mut ids = Vec::new();
        for messages in [2, 1] {
            let mut client = client(address);
            for _ in 0..messages {
                client.send(Theirs::text("Hello")).unwrap();
            }
            client.close(None).unwrap();
            while client.read().is_ok() {}
            drop(client);
            let (id, diary) = reports.recv_timeout(BOUND).unwrap();
            assert_eq!(diary, [&["accept", "request", "open"], &["message"; 2][..messages], &["close"]].concat());
            ids.push(id.unwrap());
        }
        assert_eq!(ids[0].index(), ids[1].index(), "the second has the slot of the first");
        handle.stop().unwrap();
        running.join();
    });
}

#[test]
fn an_outgoing_connection_begins_with_the_data_that_its_caller_gives() {
    bounded(|| {
        let (report, reports) = mpsc::channel();
        let mut event_loop = EventLoop::new(Diary(report)).unwrap();
        let (closed, _in_use) = closed_port();
        let url = format!("ws://{closed}/");
        event_loop.connect_with(&Connector::new(), url.parse().unwrap(), vec!["given"]).unwrap();
        while !event_loop.connections().is_empty() {
            event_loop.turn(Some(BOUND)).unwrap();
        }
        assert_eq!(reports.try_recv().unwrap().1, ["given", "connect error"]);
        // `connect` takes no data: the default
        event_loop.connect(&url).unwrap();
        while !event_loop.connections().is_empty() {
            event_loop.turn(Some(BOUND)).unwrap();
        }
        assert_eq!(reports.try_recv().unwrap().1, ["connect error"]);
    });
}

/// Reports that it is dropped.
struct Kept(mpsc::Sender<()>);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// Keeps data that reports its drop for every client.
struct Keeper(mpsc::Sender<()>);

impl Handler for Keeper {
    type Data = Option<Kept>;
    type Event = ();

    fn on_accept(&mut self, connection: &mut Connection<'_, Self>) {
        *connection.data_mut() = Some(Kept(self.0.clone()));
    }
}

#[test]
fn data_is_dropped_with_its_connection_however_that_ends() {
    bounded(|| {
        let (dropped, drops) = mpsc::channel();
        let mut event_loop = EventLoop::new(Keeper(dropped)).unwrap();
        let address = event_loop.listen("127.0.0.1:0").unwrap();
        let handle = event_loop.handle();
        let running = spawn(move || event_loop.run().unwrap());
        let ends: [fn(SocketAddr); 4] = [
            |address| drop(tcp(address)),
            |address| {
                let mut stream = tcp(address);
                stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
                read_rest(&mut stream);
            },
            |address| {
                let mut stream = raw_client(address);
                stream.write_all(b"\xc1\x80\0\0\0\0").unwrap();
                read_rest(&mut stream);
            },
            |address| reset(raw_client(address)),
        ];
        for end in ends {
            end(address);
            drops.recv_timeout(BOUND).unwrap();
            assert!(drops.try_recv().is_err());
        }
        handle.stop().unwrap();
        running.join();
    });
}

#[test]
fn data_of_a_connection_that_cannot_begin_is_dropped() {
    bounded(|| {
        let (dropped, drops) = mpsc::channel();
        let mut event_loop = EventLoop::new(Keeper(dropped.clone())).unwrap();
        let connector = Connector::new().header("not a token", "");
        let target = "ws://127.0.0.1:1/".parse().unwrap();
        let error = event_loop.connect_with(&connector, target, Some(Kept(dropped))).unwrap_err();
        assert!(matches!(error, DialError::Request(_)), "{error}");
        drops.try_recv().unwrap();
    });
}
