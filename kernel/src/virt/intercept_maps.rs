//! Maps that tell the processor what exits, a bit for each port or access to an MSR.

use crate::memory::{PAGE, PageFrameError, PageFrames, physical};
use base::HostPhysical;

/// A map in which everything exits but what `clear` lets through.
pub fn allocate(
    frames: &mut PageFrames,
    bytes: u64,
    clear: impl FnOnce(&mut [u8]),
) -> Result<HostPhysical, PageFrameError> {
    let at = frames.allocate(bytes, PAGE)?;
    // SAFETY: the frames were just handed out; the processor only reads them, and only once a control structure
    // names them.
    let bits = unsafe { core::slice::from_raw_parts_mut(physical::pointer(at), bytes as usize) };
    bits.fill(0xff);
    clear(bits);
    Ok(at)
}
