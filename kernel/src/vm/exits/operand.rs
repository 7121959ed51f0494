//! Memory operands of an instruction, located before anything is read or written.

use super::context::{ExitContext, bytes_to_page_end};
use crate::virt::VirtualCpu;
use crate::vm::Vm;
use base::{GuestPhysical, Instant, Width};
use platform::guest_paging::{self, PageFault, PageWalkAccess};

/// The guest's tables do not allow an operand: the guest gets this page fault.
pub(super) struct OperandFault {
    /// Linear address of the access, for CR2.
    pub(super) linear: u64,
    /// Error code.
    pub(super) code: u32,
}

/// Where an operand lies: in one page, or at the end of one and the beginning of another.
#[derive(Clone, Copy)]
pub(super) struct OperandSpan {
    first: GuestPhysical,
    /// Where the second page begins, and how many bytes are before it.
    second: Option<(GuestPhysical, usize)>,
    width: Width,
}

/// True if an operand at `linear` lies in one page.
pub(super) fn fits_page(linear: u64, width: Width) -> bool {
    width.bytes() <= bytes_to_page_end(linear)
}

impl OperandSpan {
    /// Locates the operand at `linear`, which will be written if `write`.
    ///
    /// # Errors
    /// The page fault that the guest's own tables lead to.
    pub(super) fn find<V: VirtualCpu>(
        vm: &Vm<V>,
        context: &mut ExitContext,
        linear: u64,
        width: Width,
        write: bool,
    ) -> Result<Self, OperandFault> {
        let user = context.is_user(&vm.vcpu.cpu);
        let paging = context.paging(&vm.vcpu.cpu);
        let find = |linear| {
            guest_paging::translate(&vm.memory, paging, linear, PageWalkAccess { write, user })
                .map_err(|PageFault(code)| OperandFault { linear, code })
        };
        let first = find(linear)?;
        let second = if fits_page(linear, width) {
            None
        } else {
            let before = bytes_to_page_end(linear);
            Some((find(linear.wrapping_add(before as u64))?, before))
        };
        Ok(Self { first, second, width })
    }

    /// The address of each byte.
    fn bytes(self, second: (GuestPhysical, usize)) -> impl Iterator<Item = GuestPhysical> {
        let (next, before) = second;
        (0..self.width.bytes()).map(move |index| {
            let (base, offset) = if index < before { (self.first, index) } else { (next, index - before) };
            GuestPhysical(base.0 + offset as u64)
        })
    }

    /// Reads it, from memory or a device.
    pub(super) fn read<V: VirtualCpu>(self, vm: &mut Vm<V>, now: Instant) -> u64 {
        match self.second {
            None => vm.memory_read(self.first, self.width, now),
            Some(second) => self
                .bytes(second)
                .enumerate()
                .fold(0, |value, (index, at)| value | vm.memory_read(at, Width::Byte, now) << (8 * index)),
        }
    }

    /// Writes it, to memory or a device.
    pub(super) fn write<V: VirtualCpu>(self, vm: &mut Vm<V>, value: u64, now: Instant) {
        match self.second {
            None => vm.memory_write(self.first, self.width, value, now),
            Some(second) => self.bytes(second).enumerate().for_each(|(index, at)| {
                vm.memory_write(at, Width::Byte, value >> (8 * index) & 0xff, now);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::exits::tests::vm;
    use base::GuestMemory;

    #[test]
    fn the_last_operand_of_a_page_ends_with_it() {
        for width in [Width::Byte, Width::Word, Width::Dword, Width::Qword] {
            let last = 0x2000 - width.bytes() as u64;
            assert!(fits_page(0x1000, width) && fits_page(last, width), "{width:?}");
            assert!(width == Width::Byte || !fits_page(last + 1, width), "{width:?}");
        }
    }

    #[test]
    fn an_operand_in_two_pages_is_read_and_written_where_each_part_lies() {
        let mut vm = vm();
        let span = OperandSpan {
            first: GuestPhysical(0x1ffd),
            second: Some((GuestPhysical(0x5000), 3)),
            width: Width::Qword,
        };
        span.write(&mut vm, 0x8877_6655_4433_2211, Instant::ZERO);
        let (mut end, mut start) = ([0; 4], [0; 6]);
        vm.memory.read(GuestPhysical(0x1ffd), &mut end).unwrap();
        vm.memory.read(GuestPhysical(0x5000), &mut start).unwrap();
        assert_eq!((end, start), ([0x11, 0x22, 0x33, 0], [0x44, 0x55, 0x66, 0x77, 0x88, 0]));
        assert_eq!(span.read(&mut vm, Instant::ZERO), 0x8877_6655_4433_2211);
    }
}
