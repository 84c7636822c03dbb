//! Whole segments from any records, with their checksums: what the fuzz target and the tests of recovery begin with,
//! since hardly any bytes have the right checksums by chance.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::format::frame::{Spot, put_record};
use crate::format::segment::Head;
use crate::recover::recover;

/// A segment in memory that holds these records, each a kind and a body.
fn segment(number: u64, records: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let head = Head { number, store: 1, is_rewritten: false };
    let mut bytes = head.encode().to_vec();
    for (kind, body) in records {
        let at = u32::try_from(bytes.len()).expect("segments in memory are small");
        put_record(&mut bytes, Spot { store: 1, segment: number, at }, at, *kind, |out| {
            out.extend_from_slice(body)
        });
    }
    bytes
}

/// Opens segments that hold these records, and looks at everything that came back; ends without a panic, whatever
/// they say.
pub fn open_records(segments: &[Vec<(u8, Vec<u8>)>]) {
    let file = |(index, records): (usize, &Vec<(u8, Vec<u8>)>)| {
        let number = index as u64 + 1;
        (number, Arc::new(MemoryFile(segment(number, records))) as Arc<dyn DiskFile>)
    };
    let files: BTreeMap<u64, Arc<dyn DiskFile>> = segments.iter().enumerate().map(file).collect();
    if files.is_empty() {
        return;
    }
    let Ok(mut recovered) = recover(files, 1_000, None) else { return };
    let lanes = recovered.lanes.list();
    for open in lanes {
        let lane = open.lane;
        recovered.lanes.enforce(lane, 1_000, |_, _| ());
        let info = recovered.lanes.info(lane).expect("it is listed");
        let _ = recovered.lanes.span(lane, info.trimmed_to, recovered.lanes.tail());
        let _ = recovered.lanes.leave(lane);
    }
}

/// A file that never changes.
#[derive(Debug)]
struct MemoryFile(Vec<u8>);

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let from = usize::try_from(at).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let bytes = self.0.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn read_if_cached(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        self.read(buffer, at).map(|()| true)
    }

    fn write(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use eric_sse::cursor::Joined;
    use eric_sse::engine::lanes::{ChannelState, ListenerState, Moved, TrimmedState};
    use eric_sse::lane::{Lane, Overflow, Retention};
    use eric_sse::{Entry, Epoch, Message, Offset, Position, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::format::change::{Change, Counters, Trim, kind};
    use crate::format::entry::put_entry;

    const RETENTION: Retention = Retention {
        max_messages: 3,
        max_bytes: 100,
        max_age_s: 1 << 40,
        history: 1,
        max_unread_per_listener: 2,
        max_unread_bytes_per_listener: 50,
        overflow: Overflow::Reject,
    };

    fn epoch() -> Epoch {
        "e".parse().unwrap()
    }

    /// Any record that speaks of a few lanes and offsets, so that they meet.
    fn record() -> impl Strategy<Value = (u8, Vec<u8>)> {
        let numbers = prop::array::uniform6(prop_oneof![8 => 0_u64..7, 1 => 0_u64..1 << 62]);
        (1_u8..22, numbers, any::<bool>()).prop_map(|(which, [a, b, c, d, e, f], flag)| {
            let (lane, channel) = (Lane::new(a), Lane::new(b));
            let trimmed = TrimmedState {
                total: c.max(1),
                first: Offset::new(1.min(d)),
                to: Offset::new(d),
                runs: if d > 0 { vec![(d, d)] } else { vec![] },
            };
            let moved =
                Moved { listener: lane, channel, to: Offset::new(c), finished: d, channel_finished: e };
            let change = match which {
                kind::OPENED => Change::Opened { epoch: epoch(), opening: a, is_synced: flag, at_ms: b },
                kind::CLOSED => Change::Closed,
                kind::SEALED => Change::Sealed,
                kind::BATCH | kind::KEPT => {
                    let mut body = Vec::new();
                    for n in 0..1 + f % 3 {
                        let position = Position { epoch: epoch(), offset: Offset::new(c.wrapping_add(n)) };
                        let message = Message::of("t", &n).unwrap();
                        let entry = Entry::new(position, lane, Timestamp::from_ms(d), message);
                        put_entry(&mut body, &entry, flag.then(|| "k".parse().unwrap()).as_ref());
                    }
                    return (which, body);
                }
                kind::LANE_OPENED => Change::LaneOpened(lane, RETENTION),
                kind::RETAINED => Change::Retained(lane, RETENTION),
                kind::LANE_CLOSED => Change::LaneClosed(lane),
                kind::JOINED => {
                    let joined = Joined { lane, floor: Offset::new(c) };
                    Change::Joined { channel, joined, channel_finished: d }
                }
                kind::LEFT => Change::Left(lane),
                kind::MOVED => Change::Moved(vec![moved]),
                kind::TRIMMED if d > 0 => Change::Trimmed(vec![Trim { lane, runs: vec![(d, d + e % 9)] }]),
                kind::CHECKPOINT_BEGUN => {
                    let counters =
                        Counters { epoch: epoch(), tail: Offset::new(a), lanes_opened: b, opening: c };
                    Change::CheckpointBegun { counters, segments: vec![] }
                }
                kind::CHANNELS => {
                    Change::Channels(vec![ChannelState { lane, retention: RETENTION, trimmed }])
                }
                kind::LISTENERS => Change::Listeners(vec![ListenerState {
                    lane,
                    channel,
                    floor: Offset::new(c),
                    floor_rank: d,
                    cursor: Offset::new(e),
                    finished: f,
                    channel_finished: c,
                    stale: None,
                    trimmed,
                }]),
                kind::CHECKPOINT_ENDED => Change::CheckpointEnded,
                kind::RELEASED => Change::Released(vec![a]),
                _ => Change::Deleted("k"),
            };
            let mut body = Vec::new();
            change.put(&mut body);
            (change.kind(), body)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8192, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_records_opening_ends(
            segments in prop::collection::vec(prop::collection::vec(record(), 0..16), 1..3),
        ) {
            open_records(&segments);
        }

        #[test]
        fn whatever_the_bytes_opening_ends(bytes: Vec<u8>, cut: prop::sample::Index) {
            let mut whole = segment(1, &[(kind::CLOSED, Vec::new()), (kind::UPSERTED, bytes.clone())]);
            whole.truncate(cut.index(whole.len()));
            whole.extend_from_slice(&bytes);
            let files = [(1, Arc::new(MemoryFile(whole)) as Arc<dyn DiskFile>)].into();
            let _ = recover(files, 1_000, None);
            let _ = Bytes::from(bytes);
        }
    }
}
