//! What a stream is sent, whatever its peer takes when: on real sockets that hold little.

use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use bytes::Bytes;
use eric_protocol::Slow;
use eric_sse::Offset;
use eric_sse::sse::encode::Format;
use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::reel::{Reel, chunk_of};
use super::stream::Stream;
use crate::manner::Manner;
use crate::system::untaken_bytes;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A message for all, of so many bytes.
    All(usize),
    /// A message for this stream.
    Own(usize),
    /// The chunk ends, and what is pending is sent.
    Send,
    /// The peer takes so much.
    Take(usize),
    /// The cursor moves; what was consumed is let go.
    Note,
    /// What was not begun is left out.
    Skip,
}

/// One stream, and all that came out at its other end.
struct World {
    reel: Reel,
    stream: Stream,
    peer: TcpStream,
    received: Vec<u8>,
    offset: u64,
    /// What was published, and whether for all.
    published: Vec<(u64, bool)>,
    left_out: u64,
    consumed: Offset,
    /// Whether the latest message is never left out.
    is_latest: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 0..200_usize, 1 => 30_000..90_000_usize];
    prop_oneof![
        4 => size.clone().prop_map(Step::All),
        2 => size.prop_map(Step::Own),
        4 => Just(Step::Send),
        3 => (1..60_000_usize).prop_map(Step::Take),
        1 => Just(Step::Note),
    ]
}

fn skipping() -> impl Strategy<Value = Step> {
    prop_oneof![6 => step(), 1 => Just(Step::Skip)]
}

/// A frame that says what it is, so that what came can be compared.
fn frame(offset: u64, bytes: usize) -> Bytes {
    Bytes::from(format!("<{offset}:{}>", "x".repeat(bytes)))
}

fn pair() -> (TcpStream, TcpStream) {
    let acceptor = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = TcpStream::connect(acceptor.local_addr().unwrap()).unwrap();
    let (socket, _) = acceptor.accept().unwrap();
    socket2::SockRef::from(&socket).set_send_buffer_size(32 * 1024).unwrap();
    socket2::SockRef::from(&peer).set_recv_buffer_size(32 * 1024).unwrap();
    socket.set_nonblocking(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    (socket, peer)
}

impl World {
    fn new() -> Self {
        let (socket, peer) = pair();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let manner = Manner::Events { format: Format::Payload, is_primed: false, slow: Slow::Drop };
        Self {
            reel: Reel::new(Format::Payload, Offset::ZERO),
            stream: Stream::new((socket, place, manner), (0, 0), Offset::ZERO, true),
            peer,
            received: Vec::new(),
            offset: 0,
            published: Vec::new(),
            left_out: 0,
            consumed: Offset::ZERO,
            is_latest: false,
        }
    }

    fn next(&mut self, is_for_all: bool) -> u64 {
        self.offset += 1;
        self.published.push((self.offset, is_for_all));
        self.offset
    }

    fn go(&mut self, step: &Step) {
        match *step {
            Step::All(bytes) => {
                let offset = self.next(true);
                self.reel.push(frame(offset, bytes), Some(Offset::new(offset)));
            }
            Step::Own(bytes) => {
                let offset = self.next(false);
                self.reel.close();
                let chunk = chunk_of(&frame(offset, bytes));
                self.stream.post(self.reel.end(), chunk, Some(Offset::new(offset)));
            }
            Step::Send => self.send(),
            Step::Take(bytes) => drop(self.take(bytes)),
            Step::Note => {
                let at = self.note();
                self.reel.cut_marks(at);
                self.reel.cut(self.stream.needs());
            }
            Step::Skip => {
                self.reel.close();
                let tell = |from: Offset, to: Offset, missed| {
                    assert!(from < to, "{from:?} {to:?}");
                    Bytes::from(format!("<gap:{missed}>"))
                };
                self.left_out += self.stream.skip(&self.reel, self.is_latest, tell);
                self.reel.cut(self.stream.needs());
            }
        }
    }

    fn send(&mut self) {
        self.reel.close();
        self.stream.send(&self.reel).unwrap();
        if !self.stream.is_blocked {
            self.reel.cut(self.reel.end());
        }
    }

    /// The peer takes up to `bytes`; false once there is nothing for it.
    fn take(&mut self, bytes: usize) -> bool {
        let mut buffer = vec![0; bytes];
        match self.peer.read(&mut buffer) {
            Ok(read) => self.received.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("{error}"),
        }
        true
    }

    /// Everything is sent, and taken.
    fn finish(&mut self) {
        self.send();
        while self.stream.is_blocked {
            self.take(1 << 16);
            self.send();
        }
        self.take_all();
        self.note();
        assert_eq!(self.consumed, Offset::new(self.offset));
    }

    /// What the peer has taken is consumed; returns where on the reel that is.
    fn note(&mut self) -> u64 {
        let (at, consumed) = self.stream.take_note(&self.reel);
        assert!(consumed <= Offset::new(self.offset));
        self.consumed = self.consumed.max(consumed);
        at
    }

    /// What was sent is taken.
    fn take_all(&mut self) {
        while untaken_bytes(self.stream.socket.as_fd()).unwrap() > 0 {
            self.take(1 << 16);
        }
        while self.take(1 << 16) {}
    }

    /// The words that came, out of their chunks.
    fn words(&self) -> Vec<String> {
        let (mut rest, mut text) = (&self.received[..], Vec::new());
        while !rest.is_empty() {
            let line = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk has a head");
            let size = std::str::from_utf8(&rest[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).expect("a chunk has a size");
            text.extend_from_slice(&rest[line + 2..line + 2 + size]);
            assert_eq!(&rest[line + 2 + size..line + 4 + size], b"\r\n", "a chunk has an end");
            rest = &rest[line + 4 + size..];
        }
        let text = String::from_utf8(text).unwrap();
        text.split_inclusive('>')
            .map(|word| word.split(':').take(1).collect::<String>()[1..].to_owned())
            .collect()
    }

    fn offsets(&self) -> Vec<u64> {
        self.words().iter().filter_map(|word| word.parse().ok()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_message_comes_once_and_in_order_whatever_the_peer_takes_when(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.go(step));
        world.finish();
        prop_assert_eq!(world.offsets(), (1..=world.offset).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_left_out_is_counted_and_never_for_one_alone(
        steps in prop::collection::vec(skipping(), 1..80),
        is_latest: bool,
    ) {
        let mut world = World { is_latest, ..World::new() };
        steps.iter().for_each(|step| world.go(step));
        world.finish();
        let came = world.offsets();
        prop_assert!(came.is_sorted_by(|one, next| one < next), "{:?}", came);
        let missing = |is_for_all: bool| {
            let missing = world.published.iter().filter(|(offset, for_all)| {
                *for_all == is_for_all && !came.contains(offset)
            });
            missing.count() as u64
        };
        prop_assert_eq!((missing(false), missing(true)), (0, world.left_out));
    }

    #[test]
    fn who_leaves_goes_on_right_after_what_it_was_sent(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.go(step));
        world.reel.close();
        let owed = world.stream.owed(&world.reel);
        prop_assert!(owed.marks.iter().is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1), "{:?}", owed.marks);
        if let Some((_, last)) = owed.marks.back() {
            prop_assert!(*last <= owed.at);
        }
        // What it was sent is taken, then the rest.
        world.take_all();
        owed.rest.iter().for_each(|piece| world.received.extend_from_slice(piece));
        let came = world.offsets();
        prop_assert_eq!(came.last().copied().unwrap_or(0), owed.at.get());
        prop_assert_eq!(came, (1..=owed.at.get()).collect::<Vec<_>>());
    }
}
