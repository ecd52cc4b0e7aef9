//! An endpoint that echoes every message.

use rand_chacha::ChaCha8Rng;
use sansocket::bytes::Buf;
use sansocket::rand_core::SeedableRng;
use sansocket::{CloseCode, Config, Connection, Event, Input, Instant, Role};

/// The output of an endpoint, and the end of its connection.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// All bytes that the endpoint sent.
    pub(crate) output: Vec<u8>,
    pub(crate) end: End,
}

/// How the connection ended.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// The peer began a closing handshake. `None`: without a status code.
    Closed { code: Option<u16> },
    /// The endpoint failed the connection, with this status code.
    Failed { code: Option<u16> },
    /// There was no closing handshake.
    Lost,
}

/// Passes pieces, and then the end of the stream, to an endpoint that echoes. The last replies are taken after the end
/// of the stream.
pub(crate) fn run<'a>(role: Role, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut connection = match role {
        Role::Client => Connection::client(Config::default(), ChaCha8Rng::seed_from_u64(6455), Instant::EPOCH),
        Role::Server => Connection::server(Config::default(), Instant::EPOCH),
    };
    let (mut output, mut end) = (Vec::new(), None);
    for piece in pieces {
        take_output(&mut connection, &mut output);
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        while !input.is_empty() {
            end = receive(&mut connection, &mut input).or(end);
        }
    }
    let mut closed = connection.receive_eof(Instant::EPOCH).expect("the end of the stream is no error");
    take_output(&mut connection, &mut output);
    if connection.has_pending_event() {
        closed = connection.receive(&mut Input::new(&mut []), Instant::EPOCH).expect("the Close is pending");
    }
    let end = end.or_else(|| closed.and_then(end_of)).expect("a connection has an end");
    assert!(!connection.output().has_remaining(), "something is sent after the end");
    Outcome { output, end }
}

/// Receives one event, and echoes a message.
fn receive(connection: &mut Connection, input: &mut Input<'_>) -> Option<End> {
    match connection.receive(input, Instant::EPOCH) {
        Ok(Some(Event::Message(message))) => {
            connection.send(message).expect("an open connection sends");
            None
        }
        Ok(event) => event.and_then(end_of),
        Err(error) => Some(End::Failed { code: error.close_code().map(CloseCode::as_u16) }),
    }
}

fn end_of(event: Event<'_>) -> Option<End> {
    let Event::Close(close) = event else {
        return None;
    };
    // 7.1.5: 1005 stands for a Close frame without a status code.
    let code = Some(close.code.as_u16()).filter(|&code| code != 1005);
    Some(if close.was_clean { End::Closed { code } } else { End::Lost })
}

fn take_output(connection: &mut Connection, taken: &mut Vec<u8>) {
    let output = connection.output();
    while output.has_remaining() {
        let chunk = output.chunk();
        taken.extend_from_slice(chunk);
        let size = chunk.len();
        output.advance(size);
    }
}
