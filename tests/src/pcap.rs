//! Files of captured frames, in the format of libpcap with microseconds and the link type Ethernet.

use crate::Outcome;
use crate::failure::ErrorContext;
use std::fs;
use std::path::Path;
use std::time::Duration;

const HEADER: usize = 24;
const RECORD: usize = 16;

/// The header of such a file.
pub(crate) fn header() -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    header[4..6].copy_from_slice(&2_u16.to_le_bytes());
    header[6..8].copy_from_slice(&4_u16.to_le_bytes());
    header[16..20].copy_from_slice(&(1_u32 << 18).to_le_bytes());
    header[20..].copy_from_slice(&1_u32.to_le_bytes());
    header
}

/// A frame with its time, as it is in the file.
pub(crate) fn record(time: Duration, frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let mut record = Vec::with_capacity(RECORD + frame.len());
    for part in [seconds, time.subsec_micros(), length, length] {
        record.extend_from_slice(&part.to_le_bytes());
    }
    record.extend_from_slice(frame);
    record
}

/// The frames of a file with their times, as far as it is whole.
///
/// # Errors
/// It cannot be read.
pub fn read(file: &Path) -> Outcome<Vec<(Duration, Vec<u8>)>> {
    Ok(parse(&fs::read(file).context("capture file")?))
}

fn parse(file: &[u8]) -> Vec<(Duration, Vec<u8>)> {
    let (mut rest, mut frames) = (file.get(HEADER..).unwrap_or_default(), Vec::new());
    while let Some((record, after)) = rest.split_first_chunk::<RECORD>() {
        let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap_or_default());
        let Some((frame, after)) = after.split_at_checked(word(8) as usize) else { break };
        let time = Duration::from_secs(word(0).into()) + Duration::from_micros(word(4).into());
        frames.push((time, frame.to_vec()));
        rest = after;
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written_up_to_one_that_is_cut_off() {
        let frames = [(Duration::from_micros(7_000_001), vec![1; 60]), (Duration::from_secs(8), vec![2; 61])];
        let records = frames.iter().flat_map(|(time, frame)| record(*time, frame));
        let mut file: Vec<u8> = header().into_iter().chain(records).collect();
        assert_eq!(parse(&file), frames);
        file.pop();
        assert_eq!(parse(&file), frames[..1]);
        assert_eq!(parse(&[]), []);
    }
}
