//! Attaching and detaching scratch, and recycling messages, never change the bytes sent or the messages received.

use sansocket::bytes::{Buf, Bytes};
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{
    Accept, CloseCode, Config, Connection, Event, Input, Instant, Message, MessageKind, Role, Scratch, WebSocket,
};

use crate::support::*;

/// A client and a server, the bytes in transit to each, and the messages that each received.
struct Pair {
    ends: [Connection; 2],
    in_transit: [Vec<u8>; 2],
    received: [Vec<Message<'static>>; 2],
}

impl Pair {
    fn new() -> Self {
        Self { ends: BOTH.map(open), in_transit: Default::default(), received: Default::default() }
    }

    fn send(&mut self, end: usize, how: u32, message: &Message<'static>) {
        let end = &mut self.ends[end];
        match (how, message) {
            (0, Message::Text(text)) => end.send(&**text).unwrap(),
            (0, Message::Binary(bytes)) => end.send(&**bytes).unwrap(),
            (1, _) => end.send(message.clone()).unwrap(),
            _ => {
                let kind = if message.as_text().is_some() { MessageKind::Text } else { MessageKind::Binary };
                end.send_shared(kind, Bytes::copy_from_slice(message.as_bytes())).unwrap();
            }
        }
        let _ = end.ping(b"between");
    }

    /// Takes bytes from one end, and passes some of the bytes in transit to the other.
    fn transfer(&mut self, end: usize, taken: usize, passed: usize) {
        let other = 1 - end;
        let taken = take(&mut self.ends[end], taken);
        self.in_transit[other].extend(taken);
        let passed = passed.min(self.in_transit[other].len());
        let mut bytes: Vec<u8> = self.in_transit[other].drain(..passed).collect();
        let mut input = Input::new(&mut bytes);
        while let Some(event) = self.ends[other].receive(&mut input, Instant::EPOCH).unwrap() {
            if let Event::Message(message) = event {
                self.received[other].push(message.clone().into_owned());
                self.ends[other].recycle(message);
            }
        }
    }

    fn amounts(&mut self) -> [[usize; 2]; 2] {
        [0, 1].map(|end| [self.ends[end].buffered_amount(), self.ends[end].output().remaining()])
    }
}

/// Returns a random text or binary message.
fn message(rng: &mut ChaCha8Rng, size: usize) -> Message<'static> {
    let mut bytes = vec![0; size];
    rng.fill_bytes(&mut bytes);
    if rng.next_u32().is_multiple_of(2) {
        return bytes.into();
    }
    let text: String = bytes.iter().map(|&byte| if byte < 8 { 'é' } else { char::from(byte % 95 + 32) }).collect();
    text.into()
}

#[test]
fn scratch_changes_nothing() {
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut plain, mut scratched) = (Pair::new(), Pair::new());
        let mut scratches = [Scratch::new(), Scratch::new()];
        let mut sent = [Vec::new(), Vec::new()];
        for _ in 0..100 {
            let mut below = |limit: u32| (rng.next_u32() % limit) as usize;
            let (end, scratch) = (below(2), &mut scratches[below(2)]);
            let most = [300, 6_000, 60_000, 400_000][below(4)];
            let (size, passed) = (below(most), below(200_000));
            match below(10) {
                0 | 1 => scratched.ends[end].attach_scratch(scratch),
                2 => scratched.ends[end].detach_scratch(scratch),
                3..=5 => {
                    let how = below(3) as u32;
                    let message = message(&mut rng, size);
                    [&mut plain, &mut scratched].into_iter().for_each(|pair| pair.send(end, how, &message));
                    sent[end].push(message);
                }
                _ => [&mut plain, &mut scratched].into_iter().for_each(|pair| pair.transfer(end, 2 * size, passed)),
            }
            assert!(plain.in_transit == scratched.in_transit, "seed {seed}: the bytes");
            assert_eq!(plain.amounts(), scratched.amounts(), "seed {seed}");
        }
        for (pair, name) in [(&mut plain, "plain"), (&mut scratched, "with scratch")] {
            (0..2).for_each(|end| pair.transfer(end, usize::MAX, usize::MAX));
            assert!(pair.received[1] == sent[0] && pair.received[0] == sent[1], "seed {seed}, {name}: the messages");
        }
    }
}

/// Bytes that were taken and then delivered leave nothing behind for the next connection that attaches the scratch.
#[test]
fn a_scratch_does_not_carry_the_position_to_the_next_connection() {
    let now = Instant::EPOCH;
    for closes in [false, true] {
        let mut scratch = Scratch::new();
        let mut first = open(Role::Server);
        first.attach_scratch(&mut scratch);
        match closes {
            false => first.send("Hello").unwrap(),
            true => first.close(CloseCode::NORMAL, "", now).unwrap(),
        }
        let taken = first.output().take_bytes(usize::MAX).len();
        first.output().delivered(taken);
        first.detach_scratch(&mut scratch);

        // no byte of the head counts in `buffered_amount`
        let mut handshake = WebSocket::server(Config::default(), now);
        handshake.attach_scratch(&mut scratch);
        let mut request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            .to_vec();
        assert!(matches!(handshake.receive(&mut Input::new(&mut request), now), Ok(Some(Event::Request(_)))));
        handshake.accept(Accept::new(), now).unwrap();
        handshake.send("Hello").unwrap();
        let head = handshake.output().remaining() - 7;
        assert_eq!(handshake.output().take_bytes(head).len(), head);
        handshake.output().delivered(head);
        assert_eq!(handshake.buffered_amount(), 5, "closes: {closes}");
        let taken = handshake.output().take_bytes(usize::MAX).len();
        handshake.output().delivered(taken);
        handshake.detach_scratch(&mut scratch);

        // its Close frame has not begun: a Pong precedes it
        for _ in 0..2 {
            let mut connection = open(Role::Server);
            connection.attach_scratch(&mut scratch);
            connection.ping(b"").unwrap();
            connection.close(CloseCode::NORMAL, "", now).unwrap();
            assert_eq!(connection.output().take_bytes(2).len(), 2);
            let mut ping = Frame::ping(b"").masked_for(Role::Server).bytes();
            assert!(matches!(connection.receive(&mut Input::new(&mut ping), now), Ok(Some(Event::Ping(_)))));
            assert_eq!(&connection.output().take_bytes(usize::MAX)[..], b"\x8a\x00");
            assert_eq!(&connection.output().take_bytes(usize::MAX)[..], b"\x88\x02\x03\xe8");
            connection.output().delivered(8);
            connection.detach_scratch(&mut scratch);
        }
    }
}
