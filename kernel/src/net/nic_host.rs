//! What a NIC's driver needs of the machine: registers, and DMA memory.

use super::discover::id;
use crate::hardware::pci::PciFunction;
use crate::memory::span::{self, MachineMemory};
use crate::memory::window::RegisterWindow;
use crate::memory::{PageFrameError, PageFrames};
use base::Span;
use x86_64::instructions::port::Port;

/// Memory for rings and buffers of one NIC: 256 buffers of 2 KiB each way, 128 that take the place of those whose frames
/// are on their way, and the rings.
const ARENA: usize = (256 + 256 + 128) * 2048 + 64 * 1024;

/// The machine as one NIC's driver sees it.
pub struct NicArena {
    /// The NIC on the bus.
    function: PciFunction,
    /// The first port of its I/O window, if that is used.
    ports: Option<u16>,
    /// Memory for rings and buffers.
    arena: Span,
    /// Bytes of it that have been handed out.
    used: usize,
}

/// The registers of a NIC.
pub struct NicWindow(RegisterWindow);

impl NicWindow {
    /// Wraps the mapped registers.
    pub(super) fn new(window: RegisterWindow) -> Self {
        Self(window)
    }
}

impl NicArena {
    /// An arena for one NIC, whose I/O window begins with the port `ports`.
    ///
    /// # Errors
    /// When the machine's memory is used up.
    pub(super) fn new(
        frames: &mut PageFrames,
        function: &PciFunction,
        ports: Option<u16>,
    ) -> Result<Self, PageFrameError> {
        let arena = span::allocate(frames, nic::dma_limit(id(function)), ARENA)?;
        Ok(Self { function: *function, ports, arena, used: 0 })
    }
}

impl nic::NicRegisters for NicWindow {
    fn read(&mut self, offset: u32) -> u32 {
        self.0.read(offset as usize)
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.0.write(offset as usize, value);
    }
}

impl nic::NicHost for NicArena {
    type Registers = NicWindow;
    type Memory = MachineMemory;

    fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Span> {
        let start = self.used.next_multiple_of(alignment);
        let memory = self.arena.part(start, bytes);
        self.used = start + bytes;
        (memory.len() == bytes).then_some(memory)
    }

    fn allow_dma(&mut self, allowed: bool) {
        self.function.allow_dma(allowed);
    }

    fn write_io(&mut self, at: u32, value: u32) -> bool {
        let port = self.ports.zip(u16::try_from(at).ok()).and_then(|(first, at)| first.checked_add(at));
        let Some(port) = port else { return false };
        // SAFETY: the NIC's own window, in which this is an access to one of its registers.
        unsafe { Port::<u32>::new(port).write(value) }
        true
    }
}
