//! Maps that tell the processor what exits, a bit for each port or access to an MSR.

use crate::memory::{FRAME, FrameError, Frames, physical};
use base::HostPhysical;

/// A map in which everything exits but what `clear` lets through.
pub fn allocate(
    frames: &mut Frames,
    bytes: u64,
    clear: impl FnOnce(&mut [u8]),
) -> Result<HostPhysical, FrameError> {
    let at = frames.allocate(bytes, FRAME)?;
    // SAFETY: the frames were just handed out; the processor only reads them, and only once a control structure
    // names them.
    let bits = unsafe { core::slice::from_raw_parts_mut(physical::pointer(at), bytes as usize) };
    bits.fill(0xff);
    clear(bits);
    Ok(at)
}
