//! Memory that a driver lends changes where bytes are, not which: whatever is lent, recycled and given back, when, and
//! to whom.

use sansocket::bytes::{Buf, Bytes};
use sansocket::rand_core::{Rng, SeedableRng};
use sansocket::{Connection, Event, Input, Instant, Message, MessageKind, Scratch};

use crate::support::*;

/// A client and a server, and what is under way to each.
struct Pair {
    ends: [Connection; 2],
    wires: [Vec<u8>; 2],
    received: [Vec<Message<'static>>; 2],
}

impl Pair {
    fn new() -> Self {
        Self { ends: BOTH.map(open), wires: Default::default(), received: Default::default() }
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

    /// Takes bytes from one end, and gives the other some of what has been taken.
    fn carry(&mut self, end: usize, taken: usize, given: usize) {
        let other = 1 - end;
        let taken = take(&mut self.ends[end], taken);
        self.wires[other].extend(taken);
        let given = given.min(self.wires[other].len());
        let mut bytes: Vec<u8> = self.wires[other].drain(..given).collect();
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

/// A message, every byte of which may differ from its neighbours.
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
fn lent_memory_changes_nothing() {
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut plain, mut lent) = (Pair::new(), Pair::new());
        let mut memories = [Scratch::new(), Scratch::new()];
        let mut sent = [Vec::new(), Vec::new()];
        for _ in 0..100 {
            let mut below = |limit: u32| (rng.next_u32() % limit) as usize;
            let (end, memory) = (below(2), &mut memories[below(2)]);
            let most = [300, 6_000, 60_000, 400_000][below(4)];
            let (size, given) = (below(most), below(200_000));
            match below(10) {
                0 | 1 => lent.ends[end].attach_scratch(memory),
                2 => lent.ends[end].detach_scratch(memory),
                3..=5 => {
                    let how = below(3) as u32;
                    let message = message(&mut rng, size);
                    [&mut plain, &mut lent].into_iter().for_each(|pair| pair.send(end, how, &message));
                    sent[end].push(message);
                }
                _ => [&mut plain, &mut lent].into_iter().for_each(|pair| pair.carry(end, 2 * size, given)),
            }
            assert!(plain.wires == lent.wires, "seed {seed}: the bytes");
            assert_eq!(plain.amounts(), lent.amounts(), "seed {seed}");
        }
        for (pair, name) in [(&mut plain, "plain"), (&mut lent, "lent")] {
            (0..2).for_each(|end| pair.carry(end, usize::MAX, usize::MAX));
            assert!(pair.received[1] == sent[0] && pair.received[0] == sent[1], "seed {seed}, {name}: the messages");
        }
    }
}
