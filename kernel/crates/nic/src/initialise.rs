//! What the steps that bring a NIC up write to it; their order is in `bring_up.rs`. What differs between families is
//! in [`crate::chip::BringUp`].

use crate::chip::{BringUp, NicChip};
use crate::port::LONGEST_FRAME;
use crate::receive::{BUFFER, ReceiveRing};
use crate::transmit::TransmitRing;
use crate::{InterruptMode, NicRegisters};
use base::bits::{high_u32, low_u32};
use base::{MacAddress, Memory};
use intel_regs::reg;
use intel_regs::{Ctrl, Rah, Rctl, Rxcsum, Tctl};

/// Stops receiver, transmitter and interrupts.
pub(crate) fn halt<R: NicRegisters, C: NicChip>(registers: &mut R) {
    mask_interrupts::<_, C>(registers);
    registers.write(reg::RCTL, 0);
    registers.write(reg::TCTL, 0);
}

/// Masks all causes and clears those that are pending [8254x 13.4.17, 13.4.21].
pub(crate) fn mask_interrupts<R: NicRegisters, C: NicChip>(registers: &mut R) {
    C::mask(registers);
    let _ = C::causes(registers, InterruptMode::Intx);
}

/// General configuration [8254x 14.3]: the MAC takes speed and duplex from the PHY; flow control, VLAN tagging and
/// wake-up stay off.
pub(crate) fn general<R: NicRegisters, C: BringUp>(registers: &mut R) {
    let off = Ctrl::LRST
        | Ctrl::ILOS
        | Ctrl::FRCSPD
        | Ctrl::FRCDPLX
        | Ctrl::RFCE
        | Ctrl::TFCE
        | Ctrl::VME
        | Ctrl::PHY_RST;
    let control = Ctrl::from_bits_retain(registers.read(reg::CTRL));
    registers.write(reg::CTRL, (control.difference(off | Ctrl::ASDE) | C::LINK_CONTROL).bits());
    for register in [reg::FCAL, reg::FCAH, reg::FCT, reg::FCTTV] {
        registers.write(register, 0);
    }
    for register in [reg::WUFC, reg::WUC] {
        registers.write(register, 0);
    }
    registers.write(reg::WUS, u32::MAX);
    C::announce(registers, true);
}

/// Receive initialisation [8254x 14.4]. The NIC receives every frame, since guests use their own addresses on
/// the wire, and long frames too.
pub(crate) fn receive<R: NicRegisters, M: Memory, C: NicChip>(
    registers: &mut R,
    ring: &ReceiveRing<M, C::Descriptors>,
    mac: MacAddress,
) {
    filters(registers, mac);
    // The NIC verifies checksums and says what it finds; frames with wrong ones come, too [8254x 13.4.47]. It may be
    // written only while the receiver is off.
    registers.write(reg::RXCSUM, (Rxcsum::IPOFL | Rxcsum::TUOFL).bits());
    C::prepare_receive(registers, BUFFER, LONGEST_FRAME);
    registers.write(C::RECEIVE.rdbal(), low_u32(ring.address()));
    registers.write(C::RECEIVE.rdbah(), high_u32(ring.address()));
    registers.write(C::RECEIVE.rdlen(), ring.length());
    registers.write(C::RECEIVE.rdh(), 0);
    C::enable_receive(registers);
}

/// Starts the receiver, whose queue is enabled.
pub(crate) fn start_receive<R: NicRegisters, M: Memory, C: NicChip>(
    registers: &mut R,
    ring: &ReceiveRing<M, C::Descriptors>,
) {
    const BUFFERS: Rctl = Rctl::for_buffer_size(BUFFER as u32).unwrap();
    registers.write(C::RECEIVE.rdt(), ring.tail());
    let control = Rctl::EN | Rctl::UPE | Rctl::MPE | Rctl::LPE | Rctl::BAM | Rctl::SECRC | BUFFERS;
    registers.write(reg::RCTL, control.bits());
}

/// Gives the NIC its own address and no other. The tables have no effect while the NIC receives every frame;
/// they are cleared because their contents after power-up are undefined [8254x 14.4].
fn filters<R: NicRegisters>(registers: &mut R, mac: MacAddress) {
    let [a, b, c, d, e, f] = mac.0;
    registers.write(reg::ral(0), u32::from_le_bytes([a, b, c, d]));
    registers.write(reg::rah(0), u32::from_le_bytes([e, f, 0, 0]) | Rah::AV.bits());
    for entry in 1..reg::RAR_COUNT {
        registers.write(reg::rah(entry), 0);
        registers.write(reg::ral(entry), 0);
    }
    (0..reg::MTA_COUNT).for_each(|index| registers.write(reg::mta(index), 0));
    (0..reg::VFTA_COUNT).for_each(|index| registers.write(reg::vfta(index), 0));
}

/// Transmit initialisation [8254x 14.5].
pub(crate) fn transmit<R: NicRegisters, M: Memory, C: NicChip>(
    registers: &mut R,
    ring: &TransmitRing<M, C::Descriptors>,
) {
    C::prepare_transmit(registers);
    registers.write(C::TRANSMIT.tdbal(), low_u32(ring.address()));
    registers.write(C::TRANSMIT.tdbah(), high_u32(ring.address()));
    registers.write(C::TRANSMIT.tdlen(), ring.length());
    registers.write(C::TRANSMIT.tdh(), 0);
    C::enable_transmit(registers);
}

/// Starts the transmitter, whose queue is enabled.
pub(crate) fn start_transmit<R: NicRegisters, M: Memory, C: NicChip>(
    registers: &mut R,
    ring: &TransmitRing<M, C::Descriptors>,
) {
    registers.write(C::TRANSMIT.tdt(), ring.tail());
    // Bits that a later family adds keep their reset values.
    let kept = registers.read(reg::TCTL) & !(Tctl::CT_MASK | Tctl::COLD_MASK);
    let fields = Tctl::CT_RECOMMENDED | Tctl::COLD_FULL_DUPLEX;
    registers.write(reg::TCTL, kept | (Tctl::EN | Tctl::PSP | Tctl::RTLC).bits() | fields);
}
