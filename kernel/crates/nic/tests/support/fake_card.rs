//! The least card that the driver can drive, with faults to switch on. It is no model of a card, but a
//! second opinion: it shares neither code nor author's assumptions with the `vnic` crate's model.

use super::Card;
use base::{GuestMemory, GuestPhysical, Instant};
use std::collections::{BTreeMap, VecDeque};
use testkit::FakeMemory;

const CTRL: u32 = 0x0000;
const STATUS: u32 = 0x0008;
const EERD: u32 = 0x0014;
const MDIC: u32 = 0x0020;
const ICR: u32 = 0x00c0;
pub const ITR: u32 = 0x00c4;
pub const IMS: u32 = 0x00d0;
const IMC: u32 = 0x00d8;
const RDBAL: u32 = 0x2800;
const RDBAH: u32 = 0x2804;
pub const RDH: u32 = 0x2810;
pub const RDT: u32 = 0x2818;
const TDBAL: u32 = 0x3800;
const TDBAH: u32 = 0x3804;
const TDH: u32 = 0x3810;
pub const TDT: u32 = 0x3818;
const RAL0: u32 = 0x5400;
const RAH0: u32 = 0x5404;

pub const LSC: u32 = 1 << 2;
pub const RXT0: u32 = 1 << 7;
pub const TXDW: u32 = 1 << 0;

/// The address in the EEPROM.
pub const EEPROM_MAC: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0xbb, 0xcc];

/// Receive descriptor status: done, and end of packet.
const DD: u8 = 1;
const EOP: u8 = 2;

/// A card as simple as it can be.
pub struct FakeCard {
    pub registers: BTreeMap<u32, u32>,
    /// Statistics registers by offset; they read once.
    pub statistics: BTreeMap<u32, u32>,
    pub link: bool,
    /// The card has gone: every register reads as ones.
    pub gone: bool,
    pub reset_never_ends: bool,
    pub eeprom_silent: bool,
    pub eeprom: [u8; 6],
    pub phy_silent: bool,
    pub phy_control: u16,
    /// Link up, negotiation done.
    pub phy_status: u16,
    /// The transmitter fetches nothing.
    pub transmit_stuck: bool,
    /// Frames the transmitter may still send.
    pub transmit_credit: usize,
    pub sent: VecDeque<Vec<u8>>,
    /// How often each register was written.
    pub writes: BTreeMap<u32, usize>,
    pub partial: Vec<u8>,
}

impl Default for FakeCard {
    fn default() -> Self {
        Self {
            registers: BTreeMap::new(),
            statistics: BTreeMap::new(),
            link: true,
            gone: false,
            reset_never_ends: false,
            eeprom_silent: false,
            eeprom: EEPROM_MAC,
            phy_silent: false,
            phy_control: 0x1140,
            phy_status: 0x0024,
            transmit_stuck: false,
            transmit_credit: usize::MAX,
            sent: VecDeque::new(),
            writes: BTreeMap::new(),
            partial: Vec::new(),
        }
    }
}

impl FakeCard {
    pub fn get(&self, offset: u32) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    pub fn written(&self, offset: u32) -> usize {
        self.writes.get(&offset).copied().unwrap_or(0)
    }

    pub fn raise(&mut self, causes: u32) {
        *self.registers.entry(ICR).or_default() |= causes;
    }

    /// Sets RAL0 and RAH0, as the card does itself at power-up.
    pub fn set_receive_address(&mut self, mac: [u8; 6]) {
        self.registers.insert(RAL0, u32::from_le_bytes([mac[0], mac[1], mac[2], mac[3]]));
        self.registers.insert(RAH0, u32::from(mac[4]) | u32::from(mac[5]) << 8 | 1 << 31);
    }

    /// Where the receive ring begins.
    pub fn receive_ring(&self) -> u64 {
        u64::from(self.get(RDBAH)) << 32 | u64::from(self.get(RDBAL))
    }

    /// Puts a frame into the receive ring, `errors` in its last descriptor; false when the ring is full.
    pub fn receive(&mut self, memory: &FakeMemory, frame: &[u8], errors: u8) -> bool {
        let pieces: Vec<&[u8]> = if frame.is_empty() { vec![&[]] } else { frame.chunks(2048).collect() };
        let (head, tail) = (self.get(RDH), self.get(RDT));
        if pieces.len() as u32 > (tail + 256 - head) % 256 {
            return false;
        }
        let ring = self.receive_ring();
        for (index, piece) in pieces.iter().enumerate() {
            let last = index + 1 == pieces.len();
            let descriptor = ring + u64::from((head + index as u32) % 256) * 16;
            memory.put(memory.read_u64(descriptor), piece);
            let length = (piece.len() as u16).to_le_bytes();
            let status = if last { DD | EOP } else { DD };
            let errors = if last { errors } else { 0 };
            memory.put(descriptor + 8, &[length[0], length[1], 0, 0, status, errors, 0, 0]);
        }
        self.registers.insert(RDH, (head + pieces.len() as u32) % 256);
        self.raise(RXT0);
        true
    }

    /// Sends what is in the transmit ring, as far as the faults allow.
    pub fn transmit(&mut self, memory: &FakeMemory) {
        let ring = u64::from(self.get(TDBAH)) << 32 | u64::from(self.get(TDBAL));
        while !self.transmit_stuck && self.link && self.transmit_credit > 0 && self.get(TDH) != self.get(TDT)
        {
            let head = self.get(TDH);
            let at = ring + u64::from(head) * 16;
            let [low, high, _, command, ..]: [u8; 8] = memory.get(at + 8);
            let length = usize::from(u16::from_le_bytes([low, high]));
            self.partial.extend(memory.bytes(memory.read_u64(at), length));
            if command & 1 != 0 {
                self.sent.push_back(std::mem::take(&mut self.partial));
                self.transmit_credit -= usize::from(self.transmit_credit != usize::MAX);
            }
            if command & 8 != 0 {
                memory.write(GuestPhysical(at + 12), &[1]).unwrap();
                self.raise(TXDW);
            }
            self.registers.insert(TDH, (head + 1) % 256);
        }
    }
}

impl Card for FakeCard {
    fn read(&mut self, _memory: &FakeMemory, offset: u32, _now: Instant) -> u32 {
        match offset {
            _ if self.gone => u32::MAX,
            CTRL if self.reset_never_ends => self.get(CTRL),
            CTRL => self.get(CTRL) & !(1 << 26),
            STATUS if self.link => 0x83,
            STATUS => 0,
            EERD if self.eeprom_silent => self.get(EERD),
            EERD => {
                let word = (self.get(EERD) >> 8 & 0xff) as usize;
                let value = u16::from_le_bytes([self.eeprom[2 * word], self.eeprom[2 * word + 1]]);
                u32::from(value) << 16 | 1 << 4
            }
            MDIC if self.phy_silent => self.get(MDIC),
            MDIC if self.get(MDIC) >> 16 & 0x1f == 1 => 1 << 28 | u32::from(self.phy_status),
            MDIC => 1 << 28 | u32::from(self.phy_control),
            ICR => self.registers.remove(&ICR).unwrap_or(0),
            0x4000..=0x40fc => self.statistics.remove(&offset).unwrap_or(0),
            _ => self.get(offset),
        }
    }

    fn write(&mut self, memory: &FakeMemory, offset: u32, value: u32, _now: Instant) {
        *self.writes.entry(offset).or_default() += 1;
        match offset {
            _ if self.gone => {}
            CTRL if value & 1 << 26 != 0 => {
                let kept = [RAL0, RAH0].map(|offset| (offset, self.get(offset)));
                self.registers = BTreeMap::from(kept);
                self.registers.insert(CTRL, value);
                self.partial.clear();
            }
            IMS => *self.registers.entry(IMS).or_default() |= value,
            IMC => *self.registers.entry(IMS).or_default() &= !value,
            MDIC if value & 1 << 26 != 0 => self.phy_control = value as u16,
            _ => {
                self.registers.insert(offset, value);
                if offset == TDT {
                    self.transmit(memory);
                }
            }
        }
    }
}
