//! Round trips (draft).
use sansocket::bytes::Buf;
use sansocket::*;
fn rng(seed: u64) -> impl sansocket::rand_core::CryptoRng + Send + Sync {
    use rand_chacha::rand_core::SeedableRng;
    rand_chacha::ChaCha12Rng::seed_from_u64(seed)
}
struct Lcg(u64);
impl Lcg {
    fn next(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}
fn text(r: &mut Lcg) -> String {
    let n = [0, 1, 5, 60, 200, 1000, 5000, 40000][r.next(8) as usize];
    let mut s = String::new();
    while s.len() < n {
        s.push_str(&format!("{{\"price\":{},\"symbol\":\"ABC{}\"}},", r.next(100000), r.next(20)));
        if r.next(10) == 0 {
            s.push('é');
        }
    }
    s
}
#[test]
fn round_trip() {
    for seed in 0..400u64 {
        let mut r = Lcg(seed * 7919 + 1);
        let bits = |r: &mut Lcg| WindowBits::new(8 + r.next(8) as u8).unwrap();
        let agreement = PermessageDeflate::default()
            .server_no_context_takeover(r.next(2) == 0)
            .client_no_context_takeover(r.next(2) == 0)
            .server_max_window_bits(bits(&mut r))
            .client_max_window_bits(bits(&mut r));
        let compression = Compression::default()
            .level(CompressionLevel::new(r.next(10) as u8).unwrap())
            .memory_level(MemoryLevel::new(1 + r.next(9) as u8).unwrap())
            .sent_history([0, 512, 32768][r.next(3) as usize])
            .window_bits(bits(&mut r))
            .context_takeover(r.next(4) > 0);
        let config = Config::default()
            .compression(compression)
            .max_sent_frame_payload(std::num::NonZeroUsize::new([50, 4000, 1 << 20][r.next(3) as usize]).unwrap());
        let now = Instant::EPOCH;
        let agreed = || Agreement::new().with_compression(agreement);
        let mut pairs: Vec<_> = (0..3)
            .map(|i| {
                let s = Connection::server(config.clone(), now).with_agreement(agreed());
                let c = Connection::client(config.clone(), rng(i), now).with_agreement(agreed());
                if r.next(2) == 0 { (s, c) } else { (c, s) }
            })
            .collect();
        let mut scratches = [Scratch::new(), Scratch::new()];
        for _ in 0..60 {
            let i = r.next(3) as usize;
            let s = r.next(3) as usize;
            let (a, b) = &mut pairs[i];
            if s < 2 {
                a.attach_scratch(&mut scratches[s]);
            }
            let mut expected = Vec::new();
            let mut sizes = 0;
            for _ in 0..1 + r.next(3) {
                let t = text(&mut r);
                sizes += t.len();
                let compress = [Compress::AsConfigured, Compress::Yes, Compress::No][r.next(3) as usize];
                match r.next(5) {
                    0 => a.send_with(t.clone(), compress).unwrap(),
                    1 => a.send_shared_with(MessageKind::Text, t.clone().into(), compress).unwrap(),
                    2 => a.send_encoded(&EncodedMessage::new_with(t.clone(), compress, &config)).unwrap(),
                    3 => {
                        let u = text(&mut r);
                        sizes += u.len();
                        a.send_batch(&EncodedBatch::new(&[
                            EncodedMessage::new(t.clone(), &config),
                            EncodedMessage::new_with(u.clone(), compress, &config),
                        ]))
                        .unwrap();
                        expected.push(t.clone());
                        expected.push(u);
                        continue;
                    }
                    _ => {
                        let b = t.as_bytes();
                        let mut at = 0;
                        loop {
                            let n = (r.next(3) * r.next(2000)) as usize;
                            let end = (at + n).min(b.len());
                            let last = end == b.len() && r.next(2) == 0;
                            a.send_fragment_with(MessageKind::Text, &b[at..end], last, compress).unwrap();
                            at = end;
                            if last {
                                break;
                            }
                        }
                    }
                }
                expected.push(t);
            }
            assert_eq!(a.buffered_amount(), sizes);
            let mut bytes = Vec::new();
            let mode = r.next(3);
            while a.output().has_remaining() {
                let n = 1 + r.next(3000) as usize;
                if mode == 0 {
                    let c = a.output().chunk();
                    let n = n.min(c.len());
                    bytes.extend_from_slice(&c[..n]);
                    a.output().advance(n);
                } else if mode == 1 {
                    let t = a.output().take_bytes(n);
                    bytes.extend_from_slice(&t);
                    a.output().delivered(t.len());
                } else {
                    let n = a.output().remaining();
                    bytes.extend(a.output().copy_to_bytes(n));
                }
            }
            assert_eq!(a.buffered_amount(), 0, "{seed}");
            if s < 2 {
                a.detach_scratch(&mut scratches[s]);
            }
            let s = r.next(3) as usize;
            let mut got = Vec::new();
            let mut rest = &mut bytes[..];
            while !rest.is_empty() {
                if s < 2 {
                    b.attach_scratch(&mut scratches[s]);
                }
                let n = (1 + r.next(5000) as usize).min(rest.len());
                let (now_, later) = rest.split_at_mut(n);
                rest = later;
                let mut input = Input::new(now_);
                while let Some(event) = b.receive(&mut input, now).unwrap_or_else(|e| panic!("{seed} {e}")) {
                    match event {
                        Event::Message(Message::Text(t)) => got.push(t.into_owned()),
                        other => panic!("{other:?}"),
                    }
                }
                if s < 2 {
                    b.detach_scratch(&mut scratches[s]);
                }
            }
            assert_eq!(got.len(), expected.len());
            assert!(got == expected, "{seed} {agreement}");
        }
    }
}
