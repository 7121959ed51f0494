//! The steps that bring a NIC up, in the order of chapter 14 of the 8254x's manual, which the later ones
//! keep. What differs between families is in [`crate::chip::BringUp`].

use crate::chip::{BringUp, NicChip};
use crate::event::EventQueue;
use crate::port::MAX_FRAME;
use crate::receive::{BUFFER, ReceiveRing};
use crate::transmit::TransmitRing;
use crate::{InterruptMode, NicError, NicEvent, NicHost, NicRegisters, wait};
use base::MacAddress;
use base::time::Duration;
use intel_regs::reg;
use intel_regs::{Ctrl, Rah, Rctl, Tctl};

/// How long a NIC may take to clear CTRL.RST.
pub const RESET_TIMEOUT: Duration = Duration::from_millis(100);

/// How long the NIC is left alone after RST is written, and again once it reads as clear. The manual asks
/// for 1 us before the next access [8254x 13.4.1]; meanwhile the NIC also reads its EEPROM again, of which
/// the oldest NICs have no status bit.
const SETTLE: Duration = Duration::from_millis(5);

/// How long the bus transactions under way may take to end after the units are disabled.
const QUIESCE: Duration = Duration::from_millis(1);

/// How long a queue may take to be enabled.
pub(crate) const QUEUE_TIMEOUT: Duration = Duration::from_millis(10);

/// Stops and resets the NIC [8254x 13.4.1, 14.7]. All interrupts are masked after it.
pub(crate) fn reset<H: NicHost, C: NicChip>(
    host: &mut H,
    registers: &mut H::Registers,
    events: &mut EventQueue,
) -> Result<(), NicError> {
    mask_interrupts::<_, C>(registers);
    registers.write(reg::RCTL, 0);
    registers.write(reg::TCTL, 0);
    C::quiesce(host, registers);
    wait::pass(host, QUIESCE);

    let control = registers.read(reg::CTRL);
    registers.write(reg::CTRL, control | Ctrl::RST.bits());
    wait::pass(host, SETTLE);
    let done = |control| !Ctrl::from_bits_retain(control).contains(Ctrl::RST);
    wait::until(host, registers, reg::CTRL, RESET_TIMEOUT, done)
        .map_err(|control| NicError::ResetTimeout { control, waited: RESET_TIMEOUT })?;
    wait::pass(host, SETTLE);
    // What the NIC should have read shows later: without a station address it is not used.
    if let Err(error) = C::await_nvm(host, registers) {
        events.push(NicEvent::EepromSilent(error));
    }
    mask_interrupts::<_, C>(registers);
    Ok(())
}

/// Masks all causes and clears those that are pending [8254x 13.4.17, 13.4.21].
fn mask_interrupts<R: NicRegisters, C: NicChip>(registers: &mut R) {
    C::mask(registers);
    let _ = C::causes(registers, InterruptMode::Intx);
}

/// General configuration [8254x 14.3]: the MAC takes speed and duplex from the PHY, flow control and VLAN
/// tagging stay off.
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
    C::announce(registers);
}

/// Receive initialisation [8254x 14.4]. The NIC receives every frame, since guests keep their own
/// addresses on the wire, and long ones too.
pub(crate) fn receive<H: NicHost, C: NicChip>(
    host: &mut H,
    registers: &mut H::Registers,
    ring: &ReceiveRing<H::Dma, C::Descriptors>,
    mac: MacAddress,
) -> Result<(), NicError> {
    const BUFFERS: Rctl = Rctl::for_buffer_size(BUFFER as u32).unwrap();

    filters(registers, mac);
    registers.write(reg::RXCSUM, 0);
    C::prepare_receive(registers, BUFFER, MAX_FRAME);
    registers.write(C::RECEIVE.rdbal(), ring.address() as u32);
    registers.write(C::RECEIVE.rdbah(), (ring.address() >> 32) as u32);
    registers.write(C::RECEIVE.rdlen(), ring.length());
    registers.write(C::RECEIVE.rdh(), 0);
    C::enable_receive(host, registers)?;
    registers.write(C::RECEIVE.rdt(), ring.tail());
    let control = Rctl::EN | Rctl::UPE | Rctl::MPE | Rctl::LPE | Rctl::BAM | Rctl::SECRC | BUFFERS;
    registers.write(reg::RCTL, control.bits());
    Ok(())
}

/// Gives the NIC its own address and nobody else's. The tables do not count while it receives every frame;
/// they are cleared because they hold anything after power-up [8254x 14.4].
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
pub(crate) fn transmit<H: NicHost, C: NicChip>(
    host: &mut H,
    registers: &mut H::Registers,
    ring: &TransmitRing<H::Dma, C::Descriptors>,
) -> Result<(), NicError> {
    C::prepare_transmit(registers);
    registers.write(C::TRANSMIT.tdbal(), ring.address() as u32);
    registers.write(C::TRANSMIT.tdbah(), (ring.address() >> 32) as u32);
    registers.write(C::TRANSMIT.tdlen(), ring.length());
    registers.write(C::TRANSMIT.tdh(), 0);
    C::enable_transmit(host, registers)?;
    registers.write(C::TRANSMIT.tdt(), ring.tail());
    // Bits that a family adds keep their values after reset.
    let kept = registers.read(reg::TCTL) & !(Tctl::CT_MASK | Tctl::COLD_MASK);
    let fields = Tctl::CT_RECOMMENDED | Tctl::COLD_FULL_DUPLEX;
    registers.write(reg::TCTL, kept | (Tctl::EN | Tctl::PSP | Tctl::RTLC).bits() | fields);
    Ok(())
}
