//! The copper PHY behind MDIC [8254x 13.4.7, 82574 10.2.2.7, I210 8.2.4].

use crate::chip::BringUp;
use crate::{NicError, NicRegisters};
use base::Instant;
use base::time::Duration;
use core::task::Poll;
use intel_regs::control::manc;
use intel_regs::phy::{self, Ability, Gcon, Pctrl, Pstatus};
use intel_regs::{Mdic, Status, reg};

/// Timeout for an access to a PHY register: MDI transfers 64 bits at about 1 MHz [8254x 13.4.7].
const PHY_TIMEOUT: Duration = Duration::from_millis(10);

/// Timeout for firmware to let go of the PHY. A management controller may configure it for that long after a
/// reset, of which it is the owner.
pub const PHY_OWNER_TIMEOUT: Duration = Duration::from_secs(1);

/// Timeout for the semaphore under which the PHY is given back; then it is given back without.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(20);

/// How often MDIC is read at the end of Weir for the end of an access. A read over the bus takes 250 ns at least, so that
/// these take longer than any access.
const LAST_READS: usize = 1000;

/// The registers on which [`decide`] decides.
const READ: [u32; 5] = [phy::PCTRL, phy::PSTATUS, phy::ANA, phy::LPA, phy::GCON];

/// Registers to write, with their values, in order.
type Writes = heapless::Vec<(u32, u16), 3>;

/// What the PHY's registers say.
#[derive(Clone, Copy)]
struct PhyState {
    control: Pctrl,
    status: Pstatus,
    ability: Ability,
    partner: Ability,
    gigabit: Gcon,
    /// The MAC uses the PHY's link.
    linked: bool,
    /// Firmware has a session over the link.
    session: bool,
}

/// What there is to write so that the PHY is awake and negotiates all speeds, without PAUSE: the driver leaves
/// flow control off in the MAC, and a partner that relied on it would lose its frames [8254x 14.6].
///
/// Negotiation is restarted only where that changes something, since it takes the link down for seconds: if the PHY
/// has not completed it and the MAC has no link, if a speed was not advertised, or if PAUSE was agreed on. Nor is it
/// while firmware's session uses the link; the new advertisement then counts from the next negotiation on.
fn decide(state: PhyState) -> Writes {
    let asleep = Pctrl::POWER_DOWN | Pctrl::ISOLATE | Pctrl::LOOPBACK;
    let pause = Ability::PAUSE | Ability::ASYMMETRIC_PAUSE;
    let speeds = Ability::HALF_10 | Ability::FULL_10 | Ability::HALF_100 | Ability::FULL_100;
    let ability = state.ability.difference(pause) | Ability::SELECTOR_802_3 | speeds;
    // No MAC of these families has 1000 Mb/s at half duplex.
    let gigabit = state.gigabit.difference(Gcon::HALF_1000) | Gcon::FULL_1000;

    let negotiated = state.status.contains(Pstatus::AUTO_NEGOTIATION_COMPLETE) || state.linked;
    let settled = negotiated
        && !state.control.intersects(asleep)
        && state.control.contains(Pctrl::AUTO_NEGOTIATION_ENABLE)
        && state.ability.contains(speeds)
        && state.gigabit.contains(Gcon::FULL_1000)
        && !(state.ability & state.partner).intersects(pause);
    let restart = !(settled || state.session && state.linked);
    let on = Pctrl::AUTO_NEGOTIATION_ENABLE | Pctrl::RESTART_AUTO_NEGOTIATION;
    [
        (ability != state.ability).then_some((phy::ANA, ability.bits())),
        (gigabit != state.gigabit).then_some((phy::GCON, gigabit.bits())),
        restart.then_some((phy::PCTRL, (state.control.difference(asleep) | on).bits())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

enum PhyStage {
    Take,
    Page,
    Read,
    Write,
    Release,
}

/// Work on the PHY: take it from the NIC's firmware, read it, write what has to change, give it back.
pub(crate) struct PhyWork {
    stage: PhyStage,
    /// When the stage began, or the transaction that it waits for.
    since: Instant,
    /// The last answer to the request for the PHY, and since when it has been the same.
    answer: (u32, Instant),
    /// MDIC has been written.
    asked: bool,
    /// The register that selects a page, of a PHY in which the others are not the same on all of them.
    page: Option<u32>,
    values: heapless::Vec<u16, { READ.len() }>,
    writes: Writes,
    failure: Option<NicError>,
}

impl PhyWork {
    pub(crate) fn new(now: Instant, page: Option<u32>) -> Self {
        Self {
            stage: PhyStage::Take,
            since: now,
            answer: (0, now),
            asked: false,
            page,
            values: heapless::Vec::new(),
            writes: Writes::new(),
            failure: None,
        }
    }

    /// Lets an access that is in progress end, for a driver that is left: the next owner of the PHY could not begin its
    /// own, or would get the data of this one. There is no clock at the end of Weir, so the number of reads is bounded.
    pub(crate) fn finish<R: NicRegisters>(&mut self, registers: &mut R) {
        let over = |mdic| Mdic::from_bits_retain(mdic).intersects(Mdic::R | Mdic::E);
        if core::mem::take(&mut self.asked) {
            let _ = (0..LAST_READS).find(|_| over(registers.read(reg::MDIC)));
        }
    }

    /// Goes on with the work.
    pub(crate) fn turn<R: NicRegisters, C: BringUp>(
        &mut self,
        registers: &mut R,
        now: Instant,
    ) -> Poll<Result<(), NicError>> {
        loop {
            let done = match self.stage {
                PhyStage::Take => self.take::<R, C>(registers, now)?,
                PhyStage::Page => self.select_page(registers, now),
                PhyStage::Read => self.read(registers, now),
                PhyStage::Write => self.write(registers, now),
                PhyStage::Release => {
                    let late = now - self.since >= RELEASE_TIMEOUT;
                    let released = C::release_phy(registers, late);
                    return if released.is_ok() || late {
                        Poll::Ready(self.failure.map_or(Ok(()), Err))
                    } else {
                        Poll::Pending
                    };
                }
            };
            match done {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(next) => (self.stage, self.since) = (next, now),
            }
        }
    }

    fn take<R: NicRegisters, C: BringUp>(
        &mut self,
        registers: &mut R,
        now: Instant,
    ) -> Result<Poll<PhyStage>, NicError> {
        let Err(semaphore) = C::take_phy(registers, now - self.answer.1) else {
            return Ok(Poll::Ready(PhyStage::Page));
        };
        if self.answer.0 != semaphore {
            self.answer = (semaphore, now);
        }
        if now - self.since >= PHY_OWNER_TIMEOUT {
            return Err(NicError::PhyBusy { semaphore, waited: PHY_OWNER_TIMEOUT });
        }
        Ok(Poll::Pending)
    }

    /// Selects page 0: firmware may have left another.
    fn select_page<R: NicRegisters>(&mut self, registers: &mut R, now: Instant) -> Poll<PhyStage> {
        let Some(register) = self.page else { return Poll::Ready(PhyStage::Read) };
        self.transact(registers, register, Mdic::OP_WRITE.bits(), now)
            .map(|selected| if selected.is_some() { PhyStage::Read } else { PhyStage::Release })
    }

    fn read<R: NicRegisters>(&mut self, registers: &mut R, now: Instant) -> Poll<PhyStage> {
        while let Some(&register) = READ.get(self.values.len()) {
            match self.transact(registers, register, Mdic::OP_READ.bits(), now) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(PhyStage::Release),
                Poll::Ready(Some(value)) => _ = self.values.push(value),
            }
        }
        if let &[control, status, ability, partner, gigabit] = self.values.as_slice() {
            self.writes = decide(PhyState {
                control: Pctrl::from_bits_retain(control),
                status: Pstatus::from_bits_retain(status),
                ability: Ability::from_bits_retain(ability),
                partner: Ability::from_bits_retain(partner),
                gigabit: Gcon::from_bits_retain(gigabit),
                linked: Status::from_bits_retain(registers.read(reg::STATUS)).contains(Status::LU),
                session: registers.read(reg::MANC) & manc::BLK_PHY_RST != 0,
            });
        }
        Poll::Ready(PhyStage::Write)
    }

    fn write<R: NicRegisters>(&mut self, registers: &mut R, now: Instant) -> Poll<PhyStage> {
        while let Some(&(register, value)) = self.writes.first() {
            match self.transact(registers, register, Mdic::OP_WRITE.bits() | u32::from(value), now) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(PhyStage::Release),
                Poll::Ready(Some(_)) => _ = self.writes.remove(0),
            }
        }
        Poll::Ready(PhyStage::Release)
    }

    /// Begins a transaction with a register of the internal PHY, or goes on with it: its data, or `None` when it has
    /// failed.
    fn transact<R: NicRegisters>(
        &mut self,
        registers: &mut R,
        register: u32,
        command: u32,
        now: Instant,
    ) -> Poll<Option<u16>> {
        if !core::mem::replace(&mut self.asked, true) {
            let target = phy::ADDRESS << Mdic::PHYADD_SHIFT | register << Mdic::REGADD_SHIFT;
            registers.write(reg::MDIC, command | target);
            self.since = now;
        }
        let mdic = registers.read(reg::MDIC);
        let state = Mdic::from_bits_retain(mdic);
        let late = now - self.since >= PHY_TIMEOUT;
        if !state.intersects(Mdic::R | Mdic::E) && !late {
            return Poll::Pending;
        }
        self.asked = false;
        if state.contains(Mdic::R) && !state.contains(Mdic::E) {
            return Poll::Ready(Some(base::bits::low_u16(mdic.into())));
        }
        let register = (register & 0x1f) as u8;
        self.failure = Some(NicError::PhyTimeout { register, mdic, waited: PHY_TIMEOUT });
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PHY that has negotiated everything but PAUSE, and its link is in use.
    fn settled() -> PhyState {
        PhyState {
            control: Pctrl::AUTO_NEGOTIATION_ENABLE | Pctrl::FULL_DUPLEX | Pctrl::SPEED_1000,
            status: Pstatus::LINK_STATUS | Pstatus::AUTO_NEGOTIATION_COMPLETE,
            ability: Ability::from_bits_retain(0x01e1),
            partner: Ability::from_bits_retain(0xcde1),
            gigabit: Gcon::FULL_1000,
            linked: true,
            session: false,
        }
    }

    fn registers(state: PhyState) -> std::vec::Vec<u32> {
        decide(state).into_iter().map(|(register, _)| register).collect()
    }

    #[test]
    fn a_phy_as_it_should_be_is_left_alone() {
        assert_eq!(registers(settled()), []);
    }

    #[test]
    fn pause_is_not_advertised_and_negotiated_anew_only_where_it_was_agreed() {
        let pause = Ability::from_bits_retain(0x0de1);
        let writes = decide(PhyState { ability: pause, ..settled() });
        assert_eq!(writes[..1], [(phy::ANA, 0x01e1)]);
        assert_eq!(writes[1..], [(phy::PCTRL, 0x1140 | 1 << 9)]);
        let partner = Ability::from_bits_retain(0x41e1);
        assert_eq!(registers(PhyState { ability: pause, partner, ..settled() }), [phy::ANA]);
    }

    #[test]
    fn every_speed_is_advertised_whatever_the_last_system_left() {
        let slow = Ability::SELECTOR_802_3 | Ability::FULL_10;
        let writes = decide(PhyState { ability: slow, gigabit: Gcon::HALF_1000, ..settled() });
        assert_eq!(writes[..2], [(phy::ANA, 0x01e1), (phy::GCON, 0x0200)]);
        assert_eq!(writes[2].0, phy::PCTRL);
        // Bits that are no speed stay.
        let gigabit = Gcon::MULTI_PORT | Gcon::FULL_1000 | Gcon::HALF_1000;
        assert_eq!(decide(PhyState { gigabit, ..settled() })[..], [(phy::GCON, 0x0600)]);
    }

    #[test]
    fn firmwares_session_keeps_its_link_and_the_advertisement_waits() {
        let slow = Ability::SELECTOR_802_3 | Ability::FULL_10;
        let session = PhyState { ability: slow, session: true, ..settled() };
        assert_eq!(registers(session), [phy::ANA]);
        assert_eq!(registers(PhyState { linked: false, ..session }), [phy::ANA, phy::PCTRL]);
    }

    #[test]
    fn a_phy_that_sleeps_is_woken() {
        for asleep in [Pctrl::POWER_DOWN, Pctrl::ISOLATE, Pctrl::LOOPBACK] {
            let control = settled().control | asleep;
            assert_eq!(decide(PhyState { control, ..settled() })[..], [(phy::PCTRL, 0x1140 | 1 << 9)]);
        }
    }
}
