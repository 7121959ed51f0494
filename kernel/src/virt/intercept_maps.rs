//! The bitmaps that tell the processor what exits: one bit for each exception, port or access to an MSR.

use crate::memory::{PAGE, PageFrameError, PageFrames, physical};
use crate::processor::narrow::to_usize;
use base::HostPhysical;
use bitflags::bitflags;

bitflags! {
    /// A bitmap of exceptions, one bit for each vector [SDM3C 25.6.3] [APM2 B.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Exceptions: u32 {
        /// #DB.
        const DEBUG = 1 << 1;
        /// #AC.
        const ALIGNMENT_CHECK = 1 << 17;
        /// #MC.
        const MACHINE_CHECK = 1 << 18;
    }
}

/// Exceptions that exit: #DB and #AC, because a guest can make the processor deliver either of them endlessly
/// without executing an instruction [SDM3C 26.2, "Other Causes of VM Exits"; CVE-2015-8104, CVE-2015-5307], and
/// the machine check, because it concerns the whole machine.
pub const EXCEPTIONS: Exceptions =
    Exceptions::DEBUG.union(Exceptions::ALIGNMENT_CHECK).union(Exceptions::MACHINE_CHECK);

/// A bitmap of this many pages in which everything exits except what `clear` clears.
pub fn allocate(
    frames: &mut PageFrames,
    pages: usize,
    clear: impl FnOnce(&mut [u8]),
) -> Result<HostPhysical, PageFrameError> {
    let bytes = pages * to_usize(PAGE);
    let at = frames.allocate(bytes as u64, PAGE)?;
    // SAFETY: the frames were just allocated; the processor only reads them, and only once a control structure
    // refers to them.
    let bits = unsafe { core::slice::from_raw_parts_mut(physical::pointer(at), bytes) };
    bits.fill(0xff);
    clear(bits);
    Ok(at)
}
