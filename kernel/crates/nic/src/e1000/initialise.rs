//! Initialisation of an 82540EM or 82545EM [8254x 14].

use super::E1000Chip;
use crate::chip::{AddressSource, BringUp, NvmLayout};
use crate::{NicHost, NicModel, NicRegisters};
use base::time::Duration;
use intel_regs::control::manc;
use intel_regs::pci::{IOADDR, IODATA};
use intel_regs::reg::{self, tipg};
use intel_regs::{Ctrl, Eerd};

/// A value of ITR that no reset leaves there: it is zero after one [8254x 13.4.18].
const NOT_RESET: u32 = 1;

impl BringUp for E1000Chip {
    /// With auto-speed detection, in case the PHY does not report the speed [8254x 13.4.1].
    const LINK_CONTROL: Ctrl = Ctrl::SLU.union(Ctrl::ASDE);
    const NVM: NvmLayout = NvmLayout { address_shift: Eerd::ADDR_SHIFT, done: Eerd::DONE.bits() };
    const ADDRESS_SOURCES: [AddressSource; 2] = [AddressSource::Nvm, AddressSource::ReceiveAddress];
    /// On conventional PCI an address above 4 GiB takes a dual address cycle [PCI 3.0 3.9], with which some
    /// boards of this family hang when they transmit. All memory for DMA is below, on PCI-X too.
    const DMA_LIMIT: u64 = 1 << 32;
    /// No firmware shares the PHY.
    const HOLDS_PHY_IN_RESET: bool = false;
    /// The pause after RST, of 5 ms, includes it: these NICs have no status bit for it.
    const LOAD_PAUSE: Duration = Duration::ZERO;

    /// PCI offers no way to tell whether transactions are outstanding; the pause that follows lets them end.
    fn quiesce<R: NicRegisters>(_registers: &mut R) {}

    fn is_quiet(_status: u32) -> bool {
        true
    }

    /// Through the I/O window: the NIC can reset before it has completed the bus cycle of a memory write. A NIC
    /// without that window, or without the register that shows whether it took effect, is reset through memory.
    fn reset<H: NicHost>(host: &mut H, registers: &mut H::Registers) {
        let control = registers.read(reg::CTRL) | Ctrl::RST.bits();
        registers.write(reg::ITR, NOT_RESET);
        let verifiable = registers.read(reg::ITR) == NOT_RESET;
        if !(verifiable && host.write_io(IOADDR, reg::CTRL) && host.write_io(IODATA, control)) {
            registers.write(reg::CTRL, control);
        }
    }

    /// The models of emulators ignore the I/O window; QEMU's ignores CTRL.RST altogether.
    fn was_reset<R: NicRegisters>(registers: &mut R) -> bool {
        registers.read(reg::ITR) != NOT_RESET
    }

    /// These NICs have no status bit for this.
    fn loaded<R: NicRegisters>(_registers: &mut R) -> Result<(), u32> {
        Ok(())
    }

    fn is_configured<R: NicRegisters>(_registers: &mut R, _model: &NicModel) -> bool {
        true
    }

    /// ARP requests come to the driver: firmware does not answer them.
    fn correct<R: NicRegisters>(registers: &mut R, _model: &NicModel) {
        let management = registers.read(reg::MANC);
        registers.write(reg::MANC, management & !manc::ARP_EN);
    }

    /// These NICs have no such firmware.
    fn announce<R: NicRegisters>(_registers: &mut R, _present: bool) {}

    fn nvm_base<R: NicRegisters>(_registers: &mut R) -> u16 {
        0
    }

    fn take_phy<R: NicRegisters>(_registers: &mut R, _unchanged: Duration) -> Result<(), u32> {
        Ok(())
    }

    fn release_phy<R: NicRegisters>(_registers: &mut R, _forced: bool) -> Result<(), u32> {
        Ok(())
    }

    /// Interrupts are moderated by the throttle, not by the delay timers, of which the manual warns
    /// [8254x 13.4.30].
    fn prepare_receive<R: NicRegisters>(registers: &mut R, _buffer: u16, _max_frame: u16) {
        registers.write(reg::RDTR, 0);
        registers.write(reg::RADV, 0);
    }

    fn enable_receive<R: NicRegisters>(_registers: &mut R) {}

    fn receive_enabled<R: NicRegisters>(_registers: &mut R) -> Result<(), u32> {
        Ok(())
    }

    fn prepare_transmit<R: NicRegisters>(registers: &mut R) {
        registers.write(reg::TIDV, 0);
        registers.write(reg::TADV, 0);
        registers.write(reg::TIPG, tipg::COPPER);
    }

    fn enable_transmit<R: NicRegisters>(_registers: &mut R) {}

    fn transmit_enabled<R: NicRegisters>(_registers: &mut R) -> Result<(), u32> {
        Ok(())
    }
}
