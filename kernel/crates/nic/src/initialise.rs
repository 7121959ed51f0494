//! The steps that bring a card up, in the order of chapter 14 of the manual.

use crate::event::Events;
use crate::receive::{BUFFER, ReceiveRing};
use crate::transmit::TransmitRing;
use crate::{Dma, Event, Host, NicError, Registers, wait};
use base::MacAddress;
use base::time::Duration;
use intel_regs::phy::{self, Pctrl};
use intel_regs::reg::{self, tipg};
use intel_regs::{Ctrl, Mdic, Rah, Rctl, Tctl};

/// How long a card may take to clear CTRL.RST.
pub const RESET_LIMIT: Duration = Duration::from_millis(100);

/// How long the card is left alone after RST is written, and again once it reads as clear. The manual asks
/// for 1 us before the next access [8254x 13.4.1]; meanwhile the card also reads its EEPROM again, of which
/// these cards have no status bit.
const SETTLE: Duration = Duration::from_millis(5);

/// How long the bus transactions under way may take to end after the units are disabled.
const QUIESCE: Duration = Duration::from_millis(1);

/// How long an access to a PHY register may take: MDI moves 64 bits at about 1 MHz [8254x 13.4.7].
const PHY_LIMIT: Duration = Duration::from_millis(10);

/// Stops and resets the card [8254x 13.4.1, 14.7]. All interrupts are masked after it.
pub(crate) fn reset<H: Host>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
    mask_interrupts(registers);
    registers.write(reg::RCTL, 0);
    registers.write(reg::TCTL, 0);
    wait::pass(host, QUIESCE);

    let control = registers.read(reg::CTRL);
    registers.write(reg::CTRL, control | Ctrl::RST.bits());
    wait::pass(host, SETTLE);
    let done = |control| !Ctrl::from_bits_retain(control).contains(Ctrl::RST);
    wait::until(host, registers, reg::CTRL, RESET_LIMIT, done)
        .map_err(|control| NicError::ResetTimeout { control, waited: RESET_LIMIT })?;
    wait::pass(host, SETTLE);
    mask_interrupts(registers);
    Ok(())
}

/// Masks all causes and clears those that are pending [8254x 13.4.17, 13.4.21].
fn mask_interrupts<R: Registers>(registers: &mut R) {
    registers.write(reg::IMC, u32::MAX);
    registers.read(reg::ICR);
}

/// General configuration [8254x 14.3]: the MAC takes speed and duplex from the PHY, flow control and VLAN
/// tagging stay off.
pub(crate) fn general<R: Registers>(registers: &mut R) {
    let off = Ctrl::LRST
        | Ctrl::ILOS
        | Ctrl::FRCSPD
        | Ctrl::FRCDPLX
        | Ctrl::RFCE
        | Ctrl::TFCE
        | Ctrl::VME
        | Ctrl::PHY_RST;
    let control = Ctrl::from_bits_retain(registers.read(reg::CTRL));
    registers.write(reg::CTRL, (control.difference(off) | Ctrl::ASDE | Ctrl::SLU).bits());
    for register in [reg::FCAL, reg::FCAH, reg::FCT, reg::FCTTV] {
        registers.write(register, 0);
    }
}

/// Wakes a PHY that someone powered down or isolated, and has it negotiate [8254x 14.6]. A PHY that already
/// negotiates is left alone: restarting would take the link down for seconds.
pub(crate) fn phy<H: Host>(host: &mut H, registers: &mut H::Registers, events: &mut Events) {
    if let Err(error) = wake_phy(host, registers) {
        events.push(Event::PhySilent(error));
    }
}

fn wake_phy<H: Host>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
    let off = Pctrl::POWER_DOWN | Pctrl::ISOLATE | Pctrl::LOOPBACK;
    let control = mdi(host, registers, phy::PCTRL, Mdic::OP_READ.bits())? & Mdic::DATA_MASK;
    let control = Pctrl::from_bits_retain(control as u16);
    if control.intersects(off) || !control.contains(Pctrl::AUTO_NEGOTIATION_ENABLE) {
        let on = Pctrl::AUTO_NEGOTIATION_ENABLE | Pctrl::RESTART_AUTO_NEGOTIATION;
        let control = u32::from((control.difference(off) | on).bits());
        mdi(host, registers, phy::PCTRL, Mdic::OP_WRITE.bits() | control)?;
    }
    Ok(())
}

/// One transaction with a register of the internal PHY, and the value of MDIC after it [8254x 13.4.7].
fn mdi<H: Host>(
    host: &mut H,
    registers: &mut H::Registers,
    register: u32,
    command: u32,
) -> Result<u32, NicError> {
    let target = phy::ADDRESS << Mdic::PHYADD_SHIFT | register << Mdic::REGADD_SHIFT;
    registers.write(reg::MDIC, command | target);
    let timeout = |mdic| NicError::PhyTimeout { register: register as u8, mdic, waited: PHY_LIMIT };
    let ready = |mdic| Mdic::from_bits_retain(mdic).contains(Mdic::R);
    let mdic = wait::until(host, registers, reg::MDIC, PHY_LIMIT, ready).map_err(timeout)?;
    if Mdic::from_bits_retain(mdic).contains(Mdic::E) { Err(timeout(mdic)) } else { Ok(mdic) }
}

/// Receive initialisation [8254x 14.4]. The card receives every frame, since guests keep their own
/// addresses on the wire, and long ones too.
pub(crate) fn receive<R: Registers, D: Dma>(registers: &mut R, ring: &ReceiveRing<D>, mac: MacAddress) {
    const BUFFERS: Rctl = Rctl::for_buffer_size(BUFFER as u32).unwrap();

    let [a, b, c, d, e, f] = mac.0;
    registers.write(reg::ral(0), u32::from_le_bytes([a, b, c, d]));
    registers.write(reg::rah(0), u32::from_le_bytes([e, f, 0, 0]) | Rah::AV.bits());
    for entry in 1..reg::RAR_COUNT {
        registers.write(reg::rah(entry), 0);
        registers.write(reg::ral(entry), 0);
    }
    (0..reg::MTA_COUNT).for_each(|index| registers.write(reg::mta(index), 0));
    (0..reg::VFTA_COUNT).for_each(|index| registers.write(reg::vfta(index), 0));
    // The interrupt throttle moderates, not the delay timers: the manual warns of those [8254x 13.4.30].
    registers.write(reg::RDTR, 0);
    registers.write(reg::RADV, 0);
    registers.write(reg::RXCSUM, 0);

    registers.write(reg::RDBAL, ring.address() as u32);
    registers.write(reg::RDBAH, (ring.address() >> 32) as u32);
    registers.write(reg::RDLEN, ring.length());
    registers.write(reg::RDH, 0);
    registers.write(reg::RDT, ring.tail());
    let control = Rctl::EN | Rctl::UPE | Rctl::MPE | Rctl::LPE | Rctl::BAM | Rctl::SECRC | BUFFERS;
    registers.write(reg::RCTL, control.bits());
}

/// Transmit initialisation [8254x 14.5].
pub(crate) fn transmit<R: Registers, D: Dma>(registers: &mut R, ring: &TransmitRing<D>) {
    registers.write(reg::TDBAL, ring.address() as u32);
    registers.write(reg::TDBAH, (ring.address() >> 32) as u32);
    registers.write(reg::TDLEN, ring.length());
    registers.write(reg::TDH, 0);
    registers.write(reg::TDT, ring.tail());
    registers.write(reg::TIDV, 0);
    registers.write(reg::TADV, 0);
    registers.write(reg::TIPG, tipg::COPPER);
    let fields = Tctl::CT_RECOMMENDED | Tctl::COLD_FULL_DUPLEX;
    registers.write(reg::TCTL, (Tctl::EN | Tctl::PSP | Tctl::RTLC).bits() | fields);
}
