//! Everything that can be sent, in any order: messages are compressed in wire order.

use std::num::NonZeroUsize;

use rand_chacha::ChaCha8Rng;
use sansocket::bytes::Buf;
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{
    Compress, Config, Connection, EncodedBatch, EncodedMessage, Event, Input, Instant, MessageKind, PermessageDeflate,
    Role, Scratch, WindowBits,
};

use crate::support::*;

struct Choices(ChaCha8Rng);

impl Choices {
    fn below(&mut self, count: usize) -> usize {
        self.0.next_u32() as usize % count
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn text(&mut self) -> String {
        let (len, seed) = (self.pick(&[0, 1, 5, 63, 64, 200, 1_000, 5_000, 40_000]), self.below(20) as u64);
        let len = if len == 40_000 && self.below(4) > 0 { 300 } else { len };
        records(len, seed)
    }

    fn config(&mut self) -> Config {
        let mut compression = compression(self.below(10) as u8, 1 + self.below(9) as u8, self.pick(&[0, 512, 32_768]));
        compression.context_takeover = self.below(5) > 0;
        compression.window_bits = WindowBits::new(8 + self.below(8) as u8).unwrap();
        let max_frame = self.pick(&[50, 4_000, 1024 * 1024]);
        Config::default().compression(compression).max_sent_frame_payload(NonZeroUsize::new(max_frame).unwrap())
    }
}

/// A connection, its peer in these tests, and a connection of the library that receives the same bytes.
struct Sender {
    connection: Connection,
    peer: Peer,
    receiver: Connection,
    expected: Vec<String>,
    is_unfinished: bool,
}

impl Sender {
    fn new(role: Role, config: &Config, agreed: PermessageDeflate) -> Self {
        let (bits, no_takeover, other) = match role {
            Role::Client => (agreed.client_max_window_bits, agreed.client_no_context_takeover, Role::Server),
            Role::Server => (agreed.server_max_window_bits, agreed.server_no_context_takeover, Role::Client),
        };
        let (connection, receiver) = (endpoint(role, config, agreed), endpoint(other, config, agreed));
        let peer = Peer::new(role, bits.get(), !no_takeover);
        Self { connection, peer, receiver, expected: Vec::new(), is_unfinished: false }
    }

    fn act(&mut self, choices: &mut Choices, config: &Config) {
        let (text, connection) = (choices.text(), &mut self.connection);
        let compress = choices.pick(&[Compress::AsConfigured, Compress::Yes, Compress::No]);
        let kind = MessageKind::Text;
        match choices.below(7) {
            0 => connection.ping(b"ping").unwrap(),
            _ if self.is_unfinished => {
                let last = choices.below(2) == 0;
                connection.send_fragment_with(kind, text.as_bytes(), last, compress).unwrap();
                self.is_unfinished = !last;
                self.expected.last_mut().unwrap().push_str(&text);
            }
            1 => {
                connection.send_fragment_with(kind, text.as_bytes(), false, compress).unwrap();
                self.is_unfinished = true;
                self.expected.push(text);
            }
            2 => {
                connection.send_shared_with(kind, text.clone().into(), compress).unwrap();
                self.expected.push(text);
            }
            3 => {
                connection.send_encoded(&EncodedMessage::new_with(&text, compress, config)).unwrap();
                self.expected.push(text);
            }
            4 => {
                let texts: Vec<_> = (0..choices.below(4)).map(|_| choices.text()).collect();
                let encode = |text| EncodedMessage::new_with(text, compress, config);
                connection.send_batch(&EncodedBatch::new(&texts.iter().map(encode).collect::<Vec<_>>())).unwrap();
                self.expected.extend(texts);
            }
            5 => {
                connection.send(text.clone()).unwrap();
                self.expected.push(text);
            }
            _ => {
                connection.send_with(&text, compress).unwrap();
                self.expected.push(text);
            }
        }
    }

    /// Passes all output to both receivers, and compares their messages.
    fn deliver(&mut self) {
        let mut bytes = drain(&mut self.connection);
        let messages = self.peer.decode(&bytes);
        let (mut input, mut received) = (Input::new(&mut bytes), Vec::new());
        while let Some(event) = self.receiver.receive(&mut input, Instant::EPOCH).unwrap() {
            if let Event::Message(message) = event {
                received.push(message.into_bytes());
            }
        }
        let is_complete = self.expected.len() - usize::from(self.is_unfinished);
        let expected: Vec<_> = self.expected.drain(..is_complete).map(String::into_bytes).collect();
        assert!(messages.iter().map(|message| &message.payload).eq(&expected), "the strict inflater");
        assert!(received == expected, "the library");
        assert_eq!((self.connection.buffered_amount(), self.connection.output().has_remaining()), (0, false));
    }
}

/// Deflate 53, 56, 61, 62: three connections on two scratches, or none.
#[test]
fn everything_that_is_sent_is_received_in_any_order() {
    for seed in 0..60 {
        let mut choices = Choices(ChaCha8Rng::seed_from_u64(seed));
        let (config, encoder) = (choices.config(), choices.config());
        let mut senders = [Role::Client, Role::Server, Role::Server].map(|role| {
            let mut agreed = PermessageDeflate::default();
            agreed.client_max_window_bits = WindowBits::new(8 + choices.below(8) as u8).unwrap();
            agreed.server_max_window_bits = WindowBits::new(8 + choices.below(8) as u8).unwrap();
            agreed.client_no_context_takeover = choices.below(2) == 0;
            agreed.server_no_context_takeover = choices.below(2) == 0;
            Sender::new(role, &config, agreed)
        });
        let mut scratches = [Scratch::new(), Scratch::new()];
        for _ in 0..40 {
            let sender = &mut senders[choices.below(3)];
            let mut scratch = scratches.get_mut(choices.below(3));
            if let Some(scratch) = &mut scratch {
                sender.connection.attach_scratch(scratch);
            }
            for _ in 0..choices.below(4) {
                sender.act(&mut choices, &encoder);
            }
            if choices.below(2) == 0 {
                sender.deliver();
            }
            if let Some(scratch) = &mut scratch {
                sender.connection.detach_scratch(scratch);
            }
        }
        senders.iter_mut().for_each(Sender::deliver);
    }
}
