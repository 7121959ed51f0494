//! The copper PHY behind MDIC [8254x 13.4.7, 82574 10.2.2.7, I210 8.2.4].

use crate::chip::BringUp;
use crate::event::EventQueue;
use crate::{NicError, NicEvent, NicHost, NicRegisters, wait};
use base::time::Duration;
use intel_regs::phy::{self, Pctrl, Pstatus};
use intel_regs::{Mdic, Status, reg};

/// Timeout for an access to a PHY register: MDI transfers 64 bits at about 1 MHz [8254x 13.4.7].
pub(crate) const PHY_TIMEOUT: Duration = Duration::from_millis(10);

/// Wakes a PHY that was powered down or isolated, and starts auto-negotiation [8254x 14.6].
pub(crate) fn wake<H: NicHost, C: BringUp>(
    host: &mut H,
    registers: &mut H::Registers,
    events: &mut EventQueue,
) {
    let woken = C::take_phy(host, registers).and_then(|()| {
        let woken = negotiate(host, registers);
        C::release_phy(registers);
        woken
    });
    if let Err(error) = woken {
        events.push(NicEvent::PhySilent(error));
    }
}

/// Restarts auto-negotiation unless the PHY has completed it or the MAC uses its link: a restart would take the
/// link down for seconds. In any other state nothing is lost, and the PHY may not have started by itself.
fn negotiate<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
    let asleep = Pctrl::POWER_DOWN | Pctrl::ISOLATE | Pctrl::LOOPBACK;
    let control = Pctrl::from_bits_retain(read(host, registers, phy::PCTRL)?);
    let complete = Pstatus::from_bits_retain(read(host, registers, phy::PSTATUS)?)
        .contains(Pstatus::AUTO_NEGOTIATION_COMPLETE);
    let linked = Status::from_bits_retain(registers.read(reg::STATUS)).contains(Status::LU);
    if (complete || linked) && !control.intersects(asleep) && control.contains(Pctrl::AUTO_NEGOTIATION_ENABLE)
    {
        return Ok(());
    }
    let on = Pctrl::AUTO_NEGOTIATION_ENABLE | Pctrl::RESTART_AUTO_NEGOTIATION;
    let control = u32::from((control.difference(asleep) | on).bits());
    transact(host, registers, phy::PCTRL, Mdic::OP_WRITE.bits() | control).map(|_| ())
}

fn read<H: NicHost>(host: &mut H, registers: &mut H::Registers, register: u32) -> Result<u16, NicError> {
    let mdic = transact(host, registers, register, Mdic::OP_READ.bits())?;
    Ok((mdic & 0xffff) as u16)
}

/// Makes one transaction with a register of the internal PHY, and returns the value of MDIC after it.
fn transact<H: NicHost>(
    host: &mut H,
    registers: &mut H::Registers,
    register: u32,
    command: u32,
) -> Result<u32, NicError> {
    let target = phy::ADDRESS << Mdic::PHYADD_SHIFT | register << Mdic::REGADD_SHIFT;
    registers.write(reg::MDIC, command | target);
    let timeout =
        |mdic| NicError::PhyTimeout { register: (register & 0x1f) as u8, mdic, waited: PHY_TIMEOUT };
    let ready = |mdic| Mdic::from_bits_retain(mdic).contains(Mdic::R);
    let mdic = wait::until(host, registers, reg::MDIC, PHY_TIMEOUT, ready).map_err(timeout)?;
    if Mdic::from_bits_retain(mdic).contains(Mdic::E) { Err(timeout(mdic)) } else { Ok(mdic) }
}
