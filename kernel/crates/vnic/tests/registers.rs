//! Registers, EEPROM and PHY, in the order in which stock drivers use and test them.

mod common;

use base::Effects;
use common::*;
use intel_regs::phy::{self, Pctrl, Pstatus};
use intel_regs::{Ctrl, CtrlExt, Eerd, Interrupt, Mdic, Rah, Rctl, Status, Tctl, eeprom, pci, reg, stats};

impl Guest {
    fn phy_read(&mut self, number: u32) -> u16 {
        self.set(
            reg::MDIC,
            number << Mdic::REGADD_SHIFT | phy::ADDRESS << Mdic::PHYADD_SHIFT | Mdic::OP_READ.bits(),
        );
        let value = self.read(reg::MDIC);
        assert!(Mdic::from_bits_retain(value).contains(Mdic::R) && value & Mdic::E.bits() == 0);
        value as u16
    }

    fn phy_write(&mut self, number: u32, value: u16) -> Effects {
        self.write(
            reg::MDIC,
            u32::from(value)
                | number << Mdic::REGADD_SHIFT
                | phy::ADDRESS << Mdic::PHYADD_SHIFT
                | Mdic::OP_WRITE.bits(),
        )
    }

    fn eeprom(&mut self, word: u32) -> u16 {
        self.set(reg::EERD, word << Eerd::ADDR_SHIFT | Eerd::START.bits());
        let value = self.read(reg::EERD);
        assert_ne!(value & Eerd::DONE.bits(), 0);
        (value >> Eerd::DATA_SHIFT) as u16
    }

    fn io_write(&mut self, offset: u32, value: u32) -> Effects {
        let _ = self.nic.io_write(pci::IOADDR, offset, self.now);
        self.nic.io_write(pci::IODATA, value, self.now)
    }
}

#[test]
fn the_eeprom_holds_address_and_identity_with_a_valid_checksum() {
    let mut guest = Guest::bare();
    let words: Vec<u16> = (0..64).map(|word| guest.eeprom(word)).collect();
    assert_eq!(words.iter().fold(0u16, |sum, word| sum.wrapping_add(*word)), 0xbaba);
    assert_eq!(words[..3], [0x5452, 0, 0x0100]);
    assert_eq!((words[eeprom::VENDOR_ID], words[eeprom::DEVICE_ID]), (0x8086, 0x100e));
}

#[test]
fn receive_address_0_is_loaded_from_the_eeprom_at_power_on_and_reset() {
    let mut guest = Guest::bare();
    let loaded = (guest.read(reg::ral(0)), guest.read(reg::rah(0)));
    assert_eq!(loaded, (0x0000_5452, 0x0100 | Rah::AV.bits()));
    for kind in 0..2 {
        guest.set(reg::RAL, 0x1234_5678);
        guest.set(reg::RAH, 0);
        match kind {
            0 => guest.set(reg::CTRL, Ctrl::RST.bits()),
            _ => guest.set(reg::CTRL_EXT, CtrlExt::EE_RST.bits()),
        }
        assert_eq!((guest.read(reg::ral(0)), guest.read(reg::rah(0))), loaded);
    }
}

#[test]
fn the_phy_identifies_itself_and_reports_its_link() {
    let mut guest = Guest::bare();
    assert_eq!((guest.phy_read(phy::PID), guest.phy_read(phy::EPID) & 0xfff0), (0x0141, 0x0c20));
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    let _ = guest
        .phy_write(phy::PCTRL, (Pctrl::AUTO_NEGOTIATION_ENABLE | Pctrl::RESTART_AUTO_NEGOTIATION).bits());
    guest.phy_read(phy::PSTATUS);
    let status = Pstatus::from_bits_retain(guest.phy_read(phy::PSTATUS));
    assert!(status.contains(Pstatus::LINK_STATUS | Pstatus::AUTO_NEGOTIATION_COMPLETE));
    assert_eq!(guest.read(reg::STATUS), (Status::FD | Status::LU | Status::SPEED_1000).bits());
}

#[test]
fn another_phy_address_answers_with_an_error() {
    let mut guest = Guest::bare();
    guest.set(reg::MDIC, 2 << Mdic::PHYADD_SHIFT | Mdic::OP_READ.bits() | Mdic::I.bits());
    assert_eq!(guest.read(reg::MDIC) & (Mdic::E | Mdic::R).bits(), (Mdic::E | Mdic::R).bits());
    assert_eq!(guest.read(reg::ICR), Interrupt::MDAC.bits());
}

#[test]
fn the_mac_sees_the_link_only_with_set_link_up() {
    let mut guest = Guest::bare();
    let up = |guest: &mut Guest| guest.read(reg::STATUS) & Status::LU.bits() != 0;
    assert!(!up(&mut guest));
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    assert!(up(&mut guest));
    assert_eq!(guest.read(reg::ICR), Interrupt::LSC.bits());
}

#[test]
fn a_link_change_by_the_operator_interrupts_the_guest() {
    let mut guest = Guest::new();
    let now = guest.now;
    assert!(guest.nic.set_link(false, now).contains(Effects::IRQ_CHANGED));
    assert_eq!(guest.read(reg::ICR), Interrupt::LSC.bits());
    assert_eq!(guest.read(reg::STATUS) & Status::LU.bits(), 0);
    assert!(guest.nic.set_link(false, now).is_empty(), "a repeated call changes nothing");
    assert!(guest.nic.set_link(true, now).contains(Effects::IRQ_CHANGED));
    assert_eq!(guest.read(reg::ICR), Interrupt::LSC.bits());
}

#[test]
fn a_new_negotiation_is_reported_as_a_link_change() {
    let mut guest = Guest::new();
    let control = Pctrl::AUTO_NEGOTIATION_ENABLE | Pctrl::RESTART_AUTO_NEGOTIATION;
    assert!(guest.phy_write(phy::PCTRL, control.bits()).contains(Effects::IRQ_CHANGED));
    assert_eq!(guest.read(reg::ICR), Interrupt::LSC.bits());
    guest.set(reg::CTRL, (Ctrl::SLU | Ctrl::PHY_RST).bits());
    assert_eq!(guest.read(reg::ICR), Interrupt::LSC.bits());
}

#[test]
fn forced_speed_and_duplex_show_in_status() {
    let mut guest = Guest::new();
    guest.set(reg::CTRL, (Ctrl::SLU | Ctrl::FRCSPD | Ctrl::FRCDPLX | Ctrl::SPEED_100).bits());
    assert_eq!(guest.read(reg::STATUS), (Status::LU | Status::SPEED_100).bits());
}

#[test]
fn reset_through_the_io_window_clears_everything_but_the_phy() {
    let mut guest = Guest::new();
    let _ = guest.phy_write(phy::PSCON, 0x1234);
    guest.set(reg::mta(5), 7);
    assert!(guest.io_write(reg::CTRL, Ctrl::RST.bits()).contains(Effects::RESET));
    for offset in [reg::RCTL, reg::TCTL, reg::IMS, reg::ICR, reg::TDT, reg::RDLEN, reg::mta(5)] {
        assert_eq!(guest.read(offset), 0, "{offset:#x}");
    }
    assert_eq!(guest.read(reg::CTRL) & Ctrl::RST.bits(), 0);
    assert_eq!(guest.phy_read(phy::PSCON), 0x1234);
}

#[test]
fn the_interrupt_line_falls_with_a_reset_and_says_so() {
    let mut guest = Guest::new();
    guest.set(reg::IMS, Interrupt::LSC.bits());
    guest.set(reg::ICS, Interrupt::LSC.bits());
    assert!(guest.nic.interrupt_line());
    let effects = guest.io_write(reg::CTRL, Ctrl::RST.bits());
    assert!(effects.contains(Effects::RESET | Effects::IRQ_CHANGED) && !guest.nic.interrupt_line());
}

#[test]
fn one_write_can_reset_the_mac_and_the_phy() {
    let mut guest = Guest::new();
    let _ = guest.phy_write(phy::PCTRL, (Pctrl::LOOPBACK | Pctrl::POWER_DOWN).bits());
    let _ = guest.phy_write(phy::PSCON, 0x1234);
    guest.set(reg::mta(5), 7);
    assert!(guest.write(reg::CTRL, (Ctrl::RST | Ctrl::PHY_RST).bits()).contains(Effects::RESET));
    assert_eq!((guest.read(reg::mta(5)), guest.phy_read(phy::PSCON)), (0, 0x0068));
    assert_eq!(guest.phy_read(phy::PCTRL), 0x1140, "neither in loopback nor without power");
    assert_eq!(guest.read(reg::CTRL) & (Ctrl::RST | Ctrl::PHY_RST).bits(), 0);
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    assert_ne!(guest.read(reg::STATUS) & Status::LU.bits(), 0);
}

#[test]
fn ics_reads_like_icr_and_clears_nothing() {
    let mut guest = Guest::bare();
    guest.set(reg::ICS, 0b1011);
    assert_eq!([guest.read(reg::ICS), guest.read(reg::ICS), guest.read(reg::ICR)], [0b1011; 3]);
    assert_eq!(guest.read(reg::ICS), 0);
}

#[test]
fn frames_in_the_fifo_are_counted_in_rdfpc() {
    let mut guest = Guest::with(Rctl::BAM, 8);
    for _ in 0..10 {
        guest.send(&[&frame_to(MAC, 60)]);
    }
    assert_eq!(guest.read(reg::RDFPC), 3);
}

#[test]
fn the_io_window_reaches_the_same_registers() {
    let mut guest = Guest::bare();
    let _ = guest.io_write(reg::FCTTV, 0x4321);
    assert_eq!(guest.read(reg::FCTTV), 0x4321);
    let now = guest.now;
    assert_eq!(guest.nic.io_read(pci::IOADDR, now).0, reg::FCTTV);
    assert_eq!(guest.nic.io_read(pci::IODATA, now).0, 0x4321);
    assert_eq!(guest.nic.io_read(0x20, now).0, 0);
    let _ = guest.io_write(u32::MAX, 1);
    assert_eq!(guest.nic.io_read(pci::IODATA, now).0, 0);
}

#[test]
fn the_packet_buffer_split_adds_up() {
    let mut guest = Guest::bare();
    assert_eq!(guest.read(reg::PBA), 0x0010_0030);
    guest.set(reg::PBA, 0x28);
    assert_eq!(guest.read(reg::PBA), 0x0018_0028);
}

#[test]
fn offsets_without_a_register_read_as_zero_and_are_counted() {
    let mut guest = Guest::bare();
    guest.set(0x0004, 1);
    assert_eq!(guest.read(0x0004), 0);
    assert_eq!(guest.read(0x1_fffc), 0);
    assert_eq!(guest.read(u32::MAX), 0);
    assert_eq!(guest.nic.counters().unknown_register, 4);
}

/// The register test of `ethtool -t`, as stock drivers run it: the masks are the bits that must hold what was
/// written.
#[test]
fn the_register_test_of_stock_drivers_passes() {
    let mut guest = Guest::bare();
    let status = guest.read(reg::STATUS);
    guest.set(reg::STATUS, !status);
    assert_eq!(guest.read(reg::STATUS), status);
    let mut patterns = vec![
        (reg::FCAL, !0, !0),
        (reg::FCAH, 0xffff, !0),
        (reg::FCT, 0xffff, !0),
        (reg::VET, 0xffff, !0),
        (reg::RDTR, 0xffff, !0),
        (reg::RDBAH, !0, !0),
        (reg::RDLEN, 0x000f_ff80, 0x000f_ffff),
        (reg::RDH, 0xffff, 0xffff),
        (reg::RDT, 0xffff, 0xffff),
        (reg::FCRTH, 0xfff8, 0xfff8),
        (reg::FCTTV, 0xffff, 0xffff),
        (reg::TIPG, 0x3fff_ffff, 0x3fff_ffff),
        (reg::TDBAH, !0, !0),
        (reg::TDLEN, 0x000f_ff80, 0x000f_ffff),
        (reg::RDBAL, 0xffff_fff0, !0),
        (reg::TXCW, 0xc000_ffff, 0xffff),
        (reg::TDBAL, 0xffff_fff0, !0),
        (reg::TIDV, 0xffff, 0xffff),
    ];
    patterns.extend((0..reg::RAR_COUNT).map(|entry| (reg::rah(entry), 0x8003_ffff, !0)));
    patterns.extend((0..reg::MTA_COUNT).map(|index| (reg::mta(index), !0, !0)));
    for (offset, mask, written) in patterns {
        for pattern in [0x5a5a_5a5au32, 0xa5a5_a5a5, 0, !0] {
            guest.set(offset, pattern & written);
            assert_eq!(guest.read(offset) & mask, pattern & written & mask, "{offset:#x} {pattern:#x}");
        }
    }
    for (offset, mask, written) in [
        (reg::RCTL, !0, 0),
        (reg::RCTL, 0x06df_b3fe, 0x003f_fffb),
        (reg::TCTL, !0, 0),
        (reg::RCTL, 0x06df_b3fe, !0),
    ] {
        guest.set(offset, written & mask);
        assert_eq!(guest.read(offset) & mask, written & mask, "{offset:#x}");
    }
}

/// The interrupt test of `ethtool -t`: each of the first ten causes, forced while masked and while enabled.
#[test]
fn the_interrupt_test_of_stock_drivers_passes() {
    let mut guest = Guest::bare();
    for bit in 0..10 {
        let cause = 1 << bit;
        guest.set(reg::IMC, u32::MAX);
        guest.set(reg::ICS, cause);
        assert!(!guest.nic.interrupt_line());
        guest.set(reg::IMS, cause);
        guest.set(reg::ICS, cause);
        assert!(guest.nic.interrupt_line());
        assert_eq!(guest.read(reg::ICR), cause);
        assert!(!guest.nic.interrupt_line());
        guest.set(reg::ICS, !cause & 0x7fff);
        assert!(!guest.nic.interrupt_line());
        guest.read(reg::ICR);
    }
}

/// The loopback test of `ethtool -t` uses PHY loopback; a test of the MAC uses `RCTL.LBM`.
#[test]
fn frames_return_in_both_loopback_modes_and_do_not_leave() {
    for phy_loopback in [true, false] {
        let mut guest = Guest::new();
        if phy_loopback {
            let _ = guest.phy_write(phy::PCTRL, 0x4140);
        } else {
            guest.set(reg::RCTL, (Rctl::EN | Rctl::BAM | Rctl::SECRC | Rctl::LBM_MAC).bits());
        }
        let mut frame = vec![0xff; 1024];
        frame[512..].fill(0xaa);
        for _ in 0..200 {
            assert!(guest.transmit(&frame).is_empty());
            assert_eq!(guest.receive().unwrap().0, frame);
            let _ = guest.recycle();
        }
        assert_eq!(guest.send(&[&frame_to(MAC, 60)]), 1);
        assert_eq!(guest.nic.counters().receive_in_loopback, 1);
        assert_eq!(guest.nic.counters().looped_back, 200);
        assert_eq!(guest.read(stats::GPRC), 200);
    }
}

#[test]
fn looped_back_frames_without_room_are_counted_as_missed() {
    let mut guest = Guest::with(Rctl::BAM | Rctl::LBM_MAC, 8);
    let frame = frame_to(base::MacAddress::BROADCAST, 1500);
    for _ in 0..100 {
        guest.transmit(&frame);
    }
    let missed = guest.read(stats::MPC);
    assert_eq!(u64::from(missed), guest.nic.counters().receive_missed);
    assert_eq!(missed as usize, 100 - 7 - guest.nic.waiting());
    assert_ne!(missed, 0);
}

#[test]
fn software_xoff_clears_itself() {
    let mut guest = Guest::bare();
    guest.set(reg::TCTL, (Tctl::SWXOFF | Tctl::PSP).bits());
    assert_eq!(guest.read(reg::TCTL), Tctl::PSP.bits());
}

#[test]
fn writing_ones_to_icr_clears_those_causes() {
    let mut guest = Guest::bare();
    guest.set(reg::ICS, 0b1011);
    guest.set(reg::ICR, 0b0010);
    assert_eq!(guest.read(reg::ICR), 0b1001);
}

#[test]
fn power_cycle_resets_every_register_and_keeps_the_cable() {
    for up in [true, false] {
        let mut guest = Guest::new();
        let _ = guest.nic.set_link(up, guest.now);
        guest.set(reg::IMS, 0xffff);
        let _ = guest.io_write(reg::TIPG, 0x1234);
        guest.nic.power_cycle();
        let mut fresh = Guest::bare();
        let _ = fresh.nic.set_link(up, fresh.now);
        fresh.nic.power_cycle();
        assert_eq!(guest.nic.next_deadline(), None);
        assert!(!guest.nic.interrupt_line());
        for offset in (0..intel_regs::pci::MMIO_SIZE).step_by(4) {
            assert_eq!(guest.read(offset), fresh.read(offset), "at {offset:#x}");
        }
    }
}
