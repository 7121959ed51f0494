//! A NIC on its way from a reset to the first frame: steps in the order of chapter 14 of the 8254x manual, which
//! later manuals keep.
//!
//! No step waits. Each call of [`NicDriver::check`] goes as far as the NIC has come, and looks again in the next
//! one: a NIC that takes its time, or never answers, costs nobody else any. Every step has a limit, after which it
//! is an error or goes on without.

use crate::address::AddressSearch;
use crate::chip::NicChip;
use crate::phy::PhyWork;
use crate::{
    FIRST_RETRY, NicDriver, NicError, NicEvent, NicHost, NicRegisters, NicState, RETRY_INTERVAL, initialise,
    pcie,
};
use base::time::Duration;
use base::{Instant, LinkStatus, RetiredFrames};
use core::task::Poll;
use intel_regs::{Ctrl, reg};

pub use crate::phy::PHY_OWNER_TIMEOUT;

/// Timeout for the NIC to clear CTRL.RST.
pub const RESET_TIMEOUT: Duration = Duration::from_millis(100);

/// Interval between two looks at a NIC that is being brought up.
const TURN: Duration = Duration::from_millis(1);

/// Pause for outstanding bus transactions, and frames on the wire, to end after receiver and transmitter are
/// disabled.
const QUIESCE: Duration = Duration::from_millis(10);

/// Timeout for outstanding bus transactions. The manual lets software continue after it, and so does this
/// driver: a link that hangs does not recover without a reset [82574 5.2, I210 5.2.3.3].
const MASTER_TIMEOUT: Duration = Duration::from_millis(80);

/// Timeout for firmware to let go of the PHY before a reset, which then comes all the same.
const HOLD_TIMEOUT: Duration = Duration::from_millis(40);

/// Pause after RST is written. The manual requires 1 us before the next access [8254x 13.4.1]; meanwhile the NIC
/// also reads its EEPROM, for which the oldest NICs have no status bit.
const SETTLE: Duration = Duration::from_millis(5);

/// Timeout for the NIC to read its non-volatile memory after a reset.
const LOAD_TIMEOUT: Duration = Duration::from_millis(100);

/// Timeout for firmware to configure the PHY. A NIC whose non-volatile memory is empty never says that it has.
const CONFIGURE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long the frames that the NIC had received may wait to be polled before the ring is set up anew.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(50);

/// Timeout for enabling a queue.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(10);

/// What a NIC that is being brought up is about to complete.
enum BringUpStep {
    /// Its transactions on the bus.
    Quiesce,
    /// A use of the PHY by firmware, which a reset must not interrupt.
    Hold,
    /// The reset, by a write to memory if it is the second attempt.
    Reset { again: bool },
    /// Reading its non-volatile memory.
    Load,
    /// What follows that without a status bit.
    Pause,
    /// Firmware's set-up of the PHY.
    Configure,
    /// The search for the station address.
    Address(AddressSearch),
    /// Waking the PHY.
    Phy(PhyWork),
    /// Handing up the frames that it had received.
    Drain,
    /// Enabling the receive queue.
    Receive,
    /// Enabling the transmit queue.
    Transmit,
}

/// Result of one look at a step: the next one, or `None` after the last.
type Turn = Poll<Result<Option<BringUpStep>, NicError>>;

/// A NIC on its way.
pub(crate) struct BringUpState {
    step: BringUpStep,
    since: Instant,
    /// False when this is the first attempt.
    again: bool,
}

fn next(step: BringUpStep) -> Turn {
    Poll::Ready(Ok(Some(step)))
}

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// Ends a bring-up, if there is one, for a driver that is left.
    pub(crate) fn abandon(&mut self) {
        let Some(state) = self.bring_up.take() else { return };
        if let BringUpStep::Phy(mut work) = state.step {
            work.finish(&mut self.registers);
        }
        self.give_phy_back();
    }

    /// Stops the NIC and begins a reset [8254x 13.4.1, 14.7].
    pub(crate) fn begin(&mut self, now: Instant, again: bool) {
        if !self.answers() {
            self.is_counted = false;
            return self.fail(NicError::NoAnswer, now);
        }
        let registers = &mut self.registers;
        initialise::halt::<_, C>(registers);
        C::quiesce(registers);
        // The pause that follows must not begin before the NIC has these writes: a read flushes them.
        registers.read(reg::STATUS);
        let step = BringUpStep::Quiesce;
        self.bring_up = Some(BringUpState { step, since: now, again });
        self.next_check = now + TURN;
    }

    /// Goes on as far as the NIC has come. Every step leads to a later one, but for the reset, which may be
    /// repeated once.
    pub(crate) fn advance(&mut self, now: Instant) {
        while let Some(mut state) = self.bring_up.take() {
            match self.turn(&mut state, now) {
                Poll::Pending => {
                    self.bring_up = Some(state);
                    self.next_check = now + TURN;
                    return;
                }
                Poll::Ready(Ok(Some(step))) => {
                    self.bring_up = Some(BringUpState { step, since: now, ..state });
                }
                Poll::Ready(Ok(None)) => self.run(now, &state),
                Poll::Ready(Err(error)) => {
                    self.give_phy_back();
                    self.fail(error, now);
                }
            }
        }
    }

    /// Looks at one step, which began `waited` ago. Where there is a limit, the NIC is asked once more after it, so
    /// that it is not blamed when the caller was late.
    fn turn(&mut self, state: &mut BringUpState, now: Instant) -> Turn {
        let (registers, waited) = (&mut self.registers, now - state.since);
        match &mut state.step {
            BringUpStep::Quiesce => {
                let quiet = C::is_quiet(registers.read(reg::STATUS)) || waited >= MASTER_TIMEOUT;
                match quiet && waited >= QUIESCE {
                    false => Poll::Pending,
                    true if C::HOLDS_PHY_IN_RESET => next(BringUpStep::Hold),
                    true => self.reset(),
                }
            }
            BringUpStep::Hold => {
                let held = C::take_phy(registers, waited).is_ok() || waited >= HOLD_TIMEOUT;
                if held { self.reset() } else { Poll::Pending }
            }
            BringUpStep::Reset { .. } => self.await_reset(state, waited, now),
            BringUpStep::Load => self.await_load(waited),
            BringUpStep::Pause if waited < C::LOAD_PAUSE => Poll::Pending,
            BringUpStep::Pause => next(BringUpStep::Configure),
            BringUpStep::Configure
                if !C::is_configured(registers, self.model) && waited < CONFIGURE_TIMEOUT =>
            {
                Poll::Pending
            }
            BringUpStep::Configure => {
                initialise::mask_interrupts::<_, C>(registers);
                C::correct(registers, self.model);
                match self.mac {
                    None => next(BringUpStep::Address(AddressSearch::default())),
                    Some(_) => self.wake_phy(now),
                }
            }
            BringUpStep::Address(search) => match search.turn::<_, C>(registers, &mut self.events, now) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(mac)) => {
                    self.mac = Some(mac);
                    self.wake_phy(now)
                }
            },
            BringUpStep::Phy(work) => {
                let Poll::Ready(woken) = work.turn::<_, C>(registers, now) else { return Poll::Pending };
                if let Err(error) = woken {
                    self.events.push(NicEvent::PhySilent(error));
                }
                next(BringUpStep::Drain)
            }
            BringUpStep::Drain if self.queues.receive.next().is_some() && waited < DRAIN_TIMEOUT => {
                Poll::Pending
            }
            BringUpStep::Drain => self.set_up_receive(),
            BringUpStep::Receive => self.await_receive(waited),
            BringUpStep::Transmit => self.await_transmit(waited),
        }
    }

    /// What the NIC itself has counted, which the reset clears, says what has left it since the transmitter was stopped, and
    /// may say why it is reset.
    fn reset(&mut self) -> Turn {
        self.is_counted &= self.collect_statistics();
        C::reset(&mut self.host, &mut self.registers);
        next(BringUpStep::Reset { again: false })
    }

    fn await_reset(&mut self, state: &mut BringUpState, waited: Duration, now: Instant) -> Turn {
        if waited < SETTLE {
            return Poll::Pending;
        }
        let (answers, control) = (self.answers(), self.registers.read(reg::CTRL));
        let ended = answers && !Ctrl::from_bits_retain(control).contains(Ctrl::RST);
        let late = match answers {
            true => NicError::ResetTimeout { control, waited: RESET_TIMEOUT },
            false => NicError::NoAnswer,
        };
        match (ended, C::was_reset(&mut self.registers)) {
            (false, _) if waited < RESET_TIMEOUT => Poll::Pending,
            (false, _) => Poll::Ready(Err(late)),
            (true, false) if !matches!(state.step, BringUpStep::Reset { again: true }) => {
                pcie::reset(&mut self.registers);
                next(BringUpStep::Reset { again: true })
            }
            (true, _) => {
                self.end_transmission(now);
                if C::HOLDS_PHY_IN_RESET {
                    let _ = C::release_phy(&mut self.registers, true);
                }
                next(BringUpStep::Load)
            }
        }
    }

    /// Whether the NIC has read what it should shows later: without a station address it is not used.
    fn await_load(&mut self, waited: Duration) -> Turn {
        if let Err(value) = C::loaded(&mut self.registers) {
            if waited < LOAD_TIMEOUT {
                return Poll::Pending;
            }
            let error = NicError::AutoReadTimeout { value, waited: LOAD_TIMEOUT };
            self.events.push(NicEvent::EepromSilent(error));
        }
        next(BringUpStep::Pause)
    }

    fn wake_phy(&mut self, now: Instant) -> Turn {
        initialise::general::<_, C>(&mut self.registers);
        next(BringUpStep::Phy(PhyWork::new(now, self.model.phy_page_register())))
    }

    /// Gives the NIC its receive ring. From here on it may access memory: it knows no other address any more.
    fn set_up_receive(&mut self) -> Turn {
        self.queues.restart_receive();
        self.host.allow_dma(true);
        initialise::receive::<_, _, C>(
            &mut self.registers,
            &self.queues.receive,
            self.mac.unwrap_or_default(),
        );
        next(BringUpStep::Receive)
    }

    fn await_receive(&mut self, waited: Duration) -> Turn {
        match C::receive_enabled(&mut self.registers) {
            Err(_) if waited < QUEUE_TIMEOUT => Poll::Pending,
            Err(control) => Poll::Ready(Err(NicError::QueueTimeout { control, waited: QUEUE_TIMEOUT })),
            Ok(()) => {
                initialise::start_receive::<_, _, C>(&mut self.registers, &self.queues.receive);
                initialise::transmit::<_, _, C>(&mut self.registers, &self.queues.transmit);
                next(BringUpStep::Transmit)
            }
        }
    }

    fn await_transmit(&mut self, waited: Duration) -> Turn {
        match C::transmit_enabled(&mut self.registers) {
            Err(_) if waited < QUEUE_TIMEOUT => Poll::Pending,
            Err(control) => Poll::Ready(Err(NicError::QueueTimeout { control, waited: QUEUE_TIMEOUT })),
            Ok(()) => {
                initialise::start_transmit::<_, _, C>(&mut self.registers, &self.queues.transmit);
                Poll::Ready(Ok(None))
            }
        }
    }

    /// True while the transmitter is stopped and the NIC not yet reset.
    pub(crate) fn is_stopping(&self) -> bool {
        let step = self.bring_up.as_ref().map(|state| &state.step);
        matches!(step, Some(BringUpStep::Quiesce | BringUpStep::Hold))
    }

    /// The last step is done.
    fn run(&mut self, now: Instant, state: &BringUpState) {
        self.statistics.discard(&mut self.registers);
        self.is_counted = true;
        self.count_from_here();
        self.state = NicState::Running;
        self.failures = 0;
        self.apply_interrupt_settings();
        if state.again {
            let RetiredFrames { returned, in_doubt } = self.given_back;
            self.events.push(NicEvent::Recovered { returned, in_doubt });
        }
        self.refresh_link();
        self.next_check = now + crate::CHECK_INTERVAL;
    }

    /// A step has failed. The NIC may not access memory until a later reset succeeds.
    fn fail(&mut self, error: NicError, now: Instant) {
        self.host.allow_dma(false);
        self.end_transmission(now);
        if self.state != NicState::Failed(error) {
            self.events.push(NicEvent::Failed(error));
        }
        self.state = NicState::Failed(error);
        self.link = LinkStatus::DOWN;
        self.next_check = now + FIRST_RETRY.saturating_mul(1 << self.failures.min(8)).min(RETRY_INTERVAL);
        self.failures += 1;
    }
}
