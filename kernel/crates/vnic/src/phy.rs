//! The internal PHY: its registers and its link [8254x 13.4.7, table 13-11; IEEE 802.3-2018 22].

use intel_regs::phy::{self, Ability, Estatus, Gcon, Gstatus, Pctrl, Psstat, Pstatus};

/// The speed of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PhySpeed {
    /// 10 Mb/s.
    Ten,
    /// 100 Mb/s.
    Hundred,
    /// 1000 Mb/s.
    Thousand,
}

/// The result of negotiation between the two ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PhyLink {
    /// Speed.
    pub(crate) speed: PhySpeed,
    /// Full duplex.
    pub(crate) full_duplex: bool,
}

/// The PHY of one vNIC. Its link partner supports every mode, and negotiation takes no time.
pub(crate) struct Phy {
    registers: [u16; 32],
    cable: bool,
    /// The link was lost since `PSTATUS` was last read: `LINK_STATUS` latches low.
    link_lost: bool,
}

impl Phy {
    /// A PHY after power-on, with or without a cable.
    pub(crate) fn new(cable: bool) -> Self {
        let mut phy = Self { registers: [0; 32], cable, link_lost: false };
        phy.reset();
        phy
    }

    /// Resets the PHY, as hardware or software does: registers get their defaults and negotiation restarts.
    pub(crate) fn reset(&mut self) {
        self.registers = [0; 32];
        let control = Pctrl::AUTO_NEGOTIATION_ENABLE | Pctrl::FULL_DUPLEX | Pctrl::SPEED_1000;
        self.registers[phy::PCTRL as usize] = control.bits();
        self.registers[phy::ANA as usize] =
            (Ability::all() & !(Ability::ACKNOWLEDGE | Ability::NEXT_PAGE)).bits();
        self.registers[phy::GCON as usize] = (Gcon::FULL_1000 | Gcon::HALF_1000).bits();
        // Automatic crossover, the default in the manual.
        self.registers[phy::PSCON as usize] = 0x0068;
        self.registers[phy::EPSCON1 as usize] = 0x0d60;
        self.link_lost = true;
    }

    /// Plugs or unplugs the cable.
    pub(crate) fn set_cable(&mut self, connected: bool) {
        self.link_lost |= self.cable && !connected;
        self.cable = connected;
    }

    /// True in digital loopback, in which the PHY returns what the MAC sends.
    pub(crate) fn loopback(&self) -> bool {
        self.control().contains(Pctrl::LOOPBACK)
    }

    /// The link, when there is one.
    pub(crate) fn link(&self) -> Option<PhyLink> {
        let control = self.control();
        if !self.cable || control.intersects(Pctrl::POWER_DOWN | Pctrl::ISOLATE) {
            return None;
        }
        if control.contains(Pctrl::AUTO_NEGOTIATION_ENABLE) {
            return self.negotiated();
        }
        let speed = if control.contains(Pctrl::SPEED_1000) {
            PhySpeed::Thousand
        } else if control.contains(Pctrl::SPEED_100) {
            PhySpeed::Hundred
        } else {
            PhySpeed::Ten
        };
        Some(PhyLink { speed, full_duplex: control.contains(Pctrl::FULL_DUPLEX) })
    }

    /// The best advertised mode [IEEE 802.3-2018 28B.3].
    fn negotiated(&self) -> Option<PhyLink> {
        let gigabit = Gcon::from_bits_retain(self.registers[phy::GCON as usize]);
        let ability = Ability::from_bits_retain(self.registers[phy::ANA as usize]);
        [
            (gigabit.contains(Gcon::FULL_1000), PhySpeed::Thousand, true),
            (gigabit.contains(Gcon::HALF_1000), PhySpeed::Thousand, false),
            (ability.contains(Ability::FULL_100), PhySpeed::Hundred, true),
            (ability.contains(Ability::HALF_100), PhySpeed::Hundred, false),
            (ability.contains(Ability::FULL_10), PhySpeed::Ten, true),
            (ability.contains(Ability::HALF_10), PhySpeed::Ten, false),
        ]
        .into_iter()
        .find_map(|(able, speed, full_duplex)| able.then_some(PhyLink { speed, full_duplex }))
    }

    /// Reads register `number`, 0 to 31.
    pub(crate) fn read(&mut self, number: u32) -> u16 {
        match number {
            phy::PSTATUS => {
                let status = self.status();
                self.link_lost = false;
                status.bits()
            }
            phy::PID => phy::PID_82540EM,
            phy::EPID => phy::EPID_82540EM,
            phy::LPA if self.link().is_some() => self.partner().bits(),
            phy::ANE if self.link().is_some() => 0x0003,
            phy::GSTATUS if self.link().is_some() => self.gigabit_status().bits(),
            phy::ESTATUS => (Estatus::FULL_1000 | Estatus::HALF_1000).bits(),
            phy::PSSTAT => self.specific_status().bits(),
            _ => self.registers.get(number as usize).copied().unwrap_or(0),
        }
    }

    /// Writes register `number`, 0 to 31. Returns true when the write restarted the negotiation.
    pub(crate) fn write(&mut self, number: u32, value: u16) -> bool {
        match number {
            phy::PCTRL => {
                let control = Pctrl::from_bits_retain(value);
                if control.contains(Pctrl::RESET) {
                    self.reset();
                    return true;
                }
                let restart = control.contains(Pctrl::RESTART_AUTO_NEGOTIATION);
                self.link_lost |= restart;
                self.registers[phy::PCTRL as usize] = (control - Pctrl::RESTART_AUTO_NEGOTIATION).bits();
                restart
            }
            phy::PSTATUS | phy::PID | phy::EPID | phy::LPA | phy::ANE | phy::GSTATUS | phy::ESTATUS => false,
            phy::PSSTAT | phy::PINTS | phy::PREC => false,
            _ => {
                if let Some(register) = self.registers.get_mut(number as usize) {
                    *register = value;
                }
                false
            }
        }
    }

    fn control(&self) -> Pctrl {
        Pctrl::from_bits_retain(self.registers[phy::PCTRL as usize])
    }

    fn status(&self) -> Pstatus {
        let mut status = Pstatus::EXTENDED_CAPABILITY
            | Pstatus::AUTO_NEGOTIATION_ABILITY
            | Pstatus::PREAMBLE_SUPPRESSION
            | Pstatus::EXTENDED_STATUS
            | Pstatus::HALF_10
            | Pstatus::FULL_10
            | Pstatus::HALF_100
            | Pstatus::FULL_100;
        let link = self.link().is_some();
        status.set(Pstatus::LINK_STATUS, link && !self.link_lost);
        let negotiating = self.control().contains(Pctrl::AUTO_NEGOTIATION_ENABLE);
        status.set(Pstatus::AUTO_NEGOTIATION_COMPLETE, link && negotiating);
        status
    }

    /// The link partner supports all speeds and no flow control.
    fn partner(&self) -> Ability {
        Ability::all() & !(Ability::PAUSE | Ability::ASYMMETRIC_PAUSE | Ability::NEXT_PAGE)
    }

    fn gigabit_status(&self) -> Gstatus {
        Gstatus::PARTNER_FULL_1000
            | Gstatus::PARTNER_HALF_1000
            | Gstatus::REMOTE_RECEIVER_OK
            | Gstatus::LOCAL_RECEIVER_OK
    }

    fn specific_status(&self) -> Psstat {
        let Some(link) = self.link() else { return Psstat::empty() };
        let mut status = Psstat::LINK | Psstat::RESOLVED;
        status.set(Psstat::FULL_DUPLEX, link.full_duplex);
        status.set(Psstat::SPEED_100, link.speed == PhySpeed::Hundred);
        status.set(Psstat::SPEED_1000, link.speed == PhySpeed::Thousand);
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIGABIT: Option<PhyLink> = Some(PhyLink { speed: PhySpeed::Thousand, full_duplex: true });

    #[test]
    fn link_comes_up_at_a_gigabit_by_default() {
        assert_eq!(Phy::new(true).link(), GIGABIT);
        assert_eq!(Phy::new(false).link(), None);
    }

    #[test]
    fn link_status_latches_low_until_read() {
        let mut phy = Phy::new(true);
        phy.read(phy::PSTATUS);
        phy.set_cable(false);
        phy.set_cable(true);
        let link = |value: u16| Pstatus::from_bits_retain(value).contains(Pstatus::LINK_STATUS);
        assert!(!link(phy.read(phy::PSTATUS)));
        assert!(link(phy.read(phy::PSTATUS)));
    }

    #[test]
    fn advertising_less_negotiates_less() {
        let mut phy = Phy::new(true);
        phy.write(phy::GCON, 0);
        assert_eq!(phy.link(), Some(PhyLink { speed: PhySpeed::Hundred, full_duplex: true }));
        phy.write(phy::ANA, (Ability::HALF_10 | Ability::SELECTOR_802_3).bits());
        assert_eq!(phy.link(), Some(PhyLink { speed: PhySpeed::Ten, full_duplex: false }));
        phy.write(phy::ANA, 0);
        assert_eq!(phy.link(), None);
    }

    #[test]
    fn forced_speed_is_used() {
        let mut phy = Phy::new(true);
        phy.write(phy::PCTRL, (Pctrl::SPEED_100 | Pctrl::FULL_DUPLEX).bits());
        assert_eq!(phy.link(), Some(PhyLink { speed: PhySpeed::Hundred, full_duplex: true }));
    }

    #[test]
    fn reset_and_restart_bits_clear_themselves() {
        let mut phy = Phy::new(true);
        assert!(phy.write(phy::PCTRL, 0x9140));
        assert_eq!(phy.read(phy::PCTRL), 0x1140);
        assert!(phy.write(phy::PCTRL, 0x1340));
        assert_eq!(phy.read(phy::PCTRL), 0x1140);
    }

    #[test]
    fn power_down_takes_the_link_down() {
        let mut phy = Phy::new(true);
        phy.write(phy::PCTRL, Pctrl::POWER_DOWN.bits());
        assert_eq!(phy.link(), None);
    }
}
