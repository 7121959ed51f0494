//! The simplest NIC that the drivers can drive, of any family, with faults to switch on. It is not a model of a NIC but a second
//! opinion: it shares neither code nor its author's assumptions with the model in the crate `vnic`.

use super::FakeDevice;
use super::fake_rings::{self, Rings};
use super::fake_transmit::{FakeFifo, FakeOffload};
use base::time::Duration;
use base::{Effects, Instant};
use std::collections::{BTreeMap, VecDeque};
use testkit::FakeMemory;

const CTRL: u32 = 0x0000;
const STATUS: u32 = 0x0008;
const EECD: u32 = 0x0010;
const EERD: u32 = 0x0014;
const MDIC: u32 = 0x0020;
pub const ICR: u32 = 0x00c0;
pub const ITR: u32 = 0x00c4;
pub const IMS: u32 = 0x00d0;
const IMC: u32 = 0x00d8;
const EXTCNF_CTRL: u32 = 0x0f00;
pub const EIMS: u32 = 0x1524;
const EIMC: u32 = 0x1528;
const EEMNGCTL: u32 = 0x1010;
const SWSM: u32 = 0x5b50;
const SW_FW_SYNC: u32 = 0x5b5c;
const RXCSUM: u32 = 0x5000;
pub const RDH: u32 = fake_rings::E1000.rdh();
pub const RDT: u32 = fake_rings::E1000.rdt();
pub const TDT: u32 = fake_rings::E1000.tdt();
const RAL0: u32 = 0x5400;
const RAH0: u32 = 0x5404;

pub const LSC: u32 = 1 << 2;
pub const RXT0: u32 = 1 << 7;
pub const TXDW: u32 = 1 << 0;

/// The address in the EEPROM.
pub const EEPROM_MAC: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0xbb, 0xcc];

/// Its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeFamily {
    E1000,
    E1000e,
    Igb,
}

/// What happens to the NIC, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeEvent {
    /// COMMAND.BME was set or cleared.
    Dma(bool),
    /// It was reset, through memory or through the I/O window.
    Reset { by_io: bool },
}

/// How its I/O window behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeIo {
    Absent,
    /// As in emulators.
    Ignored,
    Works,
}

/// A NIC as simple as possible.
pub struct FakeNic {
    pub kind: FakeFamily,
    /// What it says of the checksums of the frames that it receives, as far as RXCSUM asks for it: status bits.
    pub indication: u8,
    pub registers: BTreeMap<u32, u32>,
    /// Statistics registers by offset; they read once.
    pub statistics: BTreeMap<u32, u32>,
    pub link: bool,
    pub half_duplex: bool,
    /// The NIC was removed: every register reads as this.
    pub gone: bool,
    pub gone_as: u32,
    pub reset_never_ends: bool,
    /// Transactions on the bus never end.
    pub master_never_ends: bool,
    pub eeprom_silent: bool,
    pub eeprom: [u8; 6],
    /// The number of the port on its device, and the first word of its part of the EEPROM.
    pub port: u32,
    pub eeprom_base: u32,
    pub phy_silent: bool,
    /// How many reads of MDIC find an access to the PHY in progress, and how many more find this one.
    pub phy_takes: usize,
    pub phy_left: usize,
    /// The PHY was given back in the middle of an access.
    pub given_back_busy: bool,
    pub phy_control: u16,
    /// Link up, negotiation done.
    pub phy_status: u16,
    /// The other registers of the PHY.
    pub phy: BTreeMap<u32, u16>,
    /// Firmware owns the PHY and keeps it.
    pub phy_taken: bool,
    /// Until then firmware uses the PHY: a request that is written meanwhile is lost.
    pub firmware_until: Instant,
    pub io: FakeIo,
    /// It is removed at its access with this number, counted down.
    pub gone_in: Option<usize>,
    /// When it was reset last, and when MDIC was written first after that.
    pub times: (Option<Instant>, Option<Instant>),
    /// Time that firmware takes to configure the PHY after a reset.
    pub configures_for: Duration,
    /// EEMNGCTL is where an I210 has it, and nothing where the others have it.
    pub i210: bool,
    /// Registers with another value than zero after a reset.
    pub after_reset: BTreeMap<u32, u32>,
    /// SWSM and SW_FW_SYNC are as a predecessor left them.
    pub keeps_semaphores: bool,
    /// Values written to SW_FW_SYNC without the semaphore.
    pub sync_without_semaphore: Vec<u32>,
    /// Software owned the MDI bus when the NIC was reset.
    pub owned_in_reset: bool,
    pub longest_descriptor: usize,
    pub accesses: usize,
    pub dma: bool,
    pub happened: Vec<FakeEvent>,
    /// A queue stays disabled.
    pub queues_dead: bool,
    /// The transmitter fetches nothing.
    pub transmit_stuck: bool,
    /// Frames the transmitter may still send.
    pub transmit_credit: usize,
    pub sent: VecDeque<Vec<u8>>,
    pub fifo: FakeFifo,
    /// Number of writes to each register.
    pub writes: BTreeMap<u32, usize>,
    pub partial: Vec<u8>,
    pub offload: FakeOffload,
}

impl Default for FakeNic {
    fn default() -> Self {
        Self {
            kind: FakeFamily::E1000,
            indication: 0,
            registers: BTreeMap::new(),
            statistics: BTreeMap::new(),
            link: true,
            half_duplex: false,
            gone: false,
            gone_as: u32::MAX,
            reset_never_ends: false,
            master_never_ends: false,
            eeprom_silent: false,
            eeprom: EEPROM_MAC,
            port: 0,
            eeprom_base: 0,
            phy_silent: false,
            phy_takes: 0,
            phy_left: 0,
            given_back_busy: false,
            phy_control: 0x1140,
            phy_status: 0x0024,
            // All speeds, no PAUSE; a partner that offers it.
            phy: BTreeMap::from([(4, 0x01e1), (5, 0xc5e1), (9, 0x0200)]),
            phy_taken: false,
            firmware_until: Instant::ZERO,
            io: FakeIo::Absent,
            gone_in: None,
            times: (None, None),
            configures_for: Duration::ZERO,
            i210: false,
            after_reset: BTreeMap::new(),
            keeps_semaphores: false,
            sync_without_semaphore: Vec::new(),
            owned_in_reset: false,
            longest_descriptor: 0,
            accesses: 0,
            dma: false,
            happened: Vec::new(),
            queues_dead: false,
            transmit_stuck: false,
            transmit_credit: usize::MAX,
            sent: VecDeque::new(),
            fifo: FakeFifo::default(),
            writes: BTreeMap::new(),
            partial: Vec::new(),
            offload: FakeOffload::default(),
        }
    }
}

impl FakeNic {
    pub fn get(&self, offset: u32) -> u32 {
        self.registers.get(&offset).copied().unwrap_or(0)
    }

    pub fn written(&self, offset: u32) -> usize {
        self.writes.get(&offset).copied().unwrap_or(0)
    }

    pub fn raise(&mut self, causes: u32) {
        *self.registers.entry(ICR).or_default() |= causes;
    }

    /// Sets RAL0 and RAH0, as the NIC itself does at power-up.
    pub fn set_receive_address(&mut self, mac: [u8; 6]) {
        self.registers.insert(RAL0, u32::from_le_bytes([mac[0], mac[1], mac[2], mac[3]]));
        self.registers.insert(RAH0, u32::from(mac[4]) | u32::from(mac[5]) << 8 | 1 << 31);
    }

    pub fn rings(&self) -> Rings {
        match self.kind {
            FakeFamily::E1000 | FakeFamily::E1000e => fake_rings::E1000,
            FakeFamily::Igb => fake_rings::IGB,
        }
    }

    /// Where the receive ring begins.
    pub fn receive_ring(&self) -> u64 {
        let rings = self.rings();
        u64::from(self.get(rings.receive + 4)) << 32 | u64::from(self.get(rings.receive))
    }

    /// Puts a frame into the receive ring, `errors` in its last descriptor; false when the ring is full.
    pub fn receive(&mut self, memory: &FakeMemory, frame: &[u8], errors: u8) -> bool {
        assert!(self.dma, "the NIC may not access memory");
        let rings = self.rings();
        let pieces: Vec<&[u8]> = if frame.is_empty() { vec![&[]] } else { frame.chunks(2048).collect() };
        let (head, tail) = (self.get(rings.rdh()), self.get(rings.rdt()));
        if pieces.len() as u32 > (tail + 256 - head) % 256 {
            return false;
        }
        let ring = self.receive_ring();
        let wanted = self.get(RXCSUM);
        let (ip, transport) = (wanted & 1 << 8 != 0, wanted & 1 << 9 != 0);
        let unwanted = if ip { 0 } else { 0x40 } | if transport { 0 } else { 0x30 };
        for (index, piece) in pieces.iter().enumerate() {
            let last = index + 1 == pieces.len();
            let descriptor = ring + u64::from((head + index as u32) % 256) * 16;
            memory.put(memory.read_u64(descriptor), piece);
            memory.put(
                descriptor + 8,
                &rings.received(
                    piece.len(),
                    last,
                    self.indication & !unwanted,
                    if last { errors } else { 0 },
                ),
            );
        }
        self.registers.insert(rings.rdh(), (head + pieces.len() as u32) % 256);
        self.raise(RXT0);
        true
    }

    fn eerd(&self) -> u32 {
        let (shift, done) = if self.kind == FakeFamily::E1000 { (8, 1 << 4) } else { (2, 1 << 1) };
        let word = (self.get(EERD) & 0xffff) >> shift;
        let word = word.checked_sub(self.eeprom_base).expect("this port's part") as usize;
        u32::from(u16::from_le_bytes([self.eeprom[2 * word], self.eeprom[2 * word + 1]])) << 16 | done
    }

    fn count_down(&mut self) {
        self.accesses += 1;
        if let Some(left) = &mut self.gone_in {
            self.gone |= *left == 0;
            *left = left.saturating_sub(1);
        }
    }

    fn mdic(&self) -> u32 {
        let data = match self.get(MDIC) >> 16 & 0x1f {
            0 => self.phy_control,
            1 => self.phy_status,
            register => self.phy.get(&register).copied().unwrap_or(0),
        };
        1 << 28 | u32::from(data)
    }

    /// Where EEMNGCTL is.
    fn management(&self) -> u32 {
        if self.i210 { 0x1_2030 } else { EEMNGCTL }
    }

    /// CTRL.RST: the NIC reloads its settings from the EEPROM.
    fn reset(&mut self, control: u32, by_io: bool, now: Instant) {
        self.times = (Some(now), None);
        self.happened.push(FakeEvent::Reset { by_io });
        self.owned_in_reset = self.get(EXTCNF_CTRL) & 1 << 5 != 0;
        let kept = [RAL0, RAH0, SW_FW_SYNC].map(|offset| (offset, self.get(offset)));
        let semaphore = if self.keeps_semaphores { self.get(SWSM) } else { 0 };
        self.registers = BTreeMap::from(kept);
        self.registers.extend(&self.after_reset);
        self.registers.insert(SWSM, semaphore);
        self.registers.insert(CTRL, control);
        self.registers.insert(EECD, 1 << 9);
        self.registers.insert(self.management(), 1 << (18 + self.port));
        self.partial.clear();
        self.offload.context = None;
        self.fifo.flush();
        self.statistics.clear();
    }
}

impl FakeDevice for FakeNic {
    fn read(&mut self, _memory: &FakeMemory, offset: u32, now: Instant) -> u32 {
        self.count_down();
        let rings = self.rings();
        match offset {
            _ if self.gone => self.gone_as,
            CTRL if self.reset_never_ends => self.get(CTRL),
            CTRL => self.get(CTRL) & !(1 << 26),
            STATUS => {
                let busy = self.get(CTRL) & 1 << 2 == 0 || self.master_never_ends;
                (if self.link { 0x83 ^ u32::from(self.half_duplex) } else { 0 })
                    | u32::from(busy) << 19
                    | self.port << 2
            }
            EERD if self.eeprom_silent => self.get(EERD),
            EERD => self.eerd(),
            MDIC if self.phy_silent => self.get(MDIC),
            MDIC if self.phy_left > 0 => {
                self.phy_left -= 1;
                self.get(MDIC)
            }
            MDIC => self.mdic(),
            EXTCNF_CTRL if self.phy_taken => 0,
            _ if offset == self.management()
                && self.times.0.is_some_and(|reset| now - reset < self.configures_for) =>
            {
                0
            }
            SWSM => {
                let value = self.get(SWSM);
                self.registers.insert(SWSM, value | 1);
                value
            }
            SW_FW_SYNC if self.phy_taken => self.get(SW_FW_SYNC) | 0x0066_0000,
            ICR => self.registers.remove(&ICR).unwrap_or(0),
            0x4000..=0x40fc => self.statistics.remove(&offset).unwrap_or(0),
            _ if offset == rings.rxdctl() && self.queues_dead => 0,
            _ => self.get(offset),
        }
    }

    fn allow_dma(&mut self, allowed: bool) {
        self.dma = allowed;
        self.happened.push(FakeEvent::Dma(allowed));
    }

    /// By IOADDR, and IODATA 4 bytes after it.
    fn write_io(&mut self, at: u32, value: u32, now: Instant) -> bool {
        match (self.io, at) {
            (FakeIo::Works, 0) => assert_eq!(value, CTRL, "only the reset goes this way"),
            (FakeIo::Works, _) => {
                assert!(at == 4 && value & 1 << 26 != 0);
                self.reset(value, true, now);
            }
            (FakeIo::Absent | FakeIo::Ignored, _) => {}
        }
        self.io != FakeIo::Absent
    }

    fn write(&mut self, memory: &FakeMemory, offset: u32, value: u32, now: Instant) -> Effects {
        self.count_down();
        *self.writes.entry(offset).or_default() += 1;
        if offset == MDIC {
            self.times.1.get_or_insert(now);
            self.phy_left = self.phy_takes;
        }
        self.given_back_busy |= matches!(offset, SW_FW_SYNC | EXTCNF_CTRL) && self.phy_left > 0;
        let firmware = now < self.firmware_until;
        match offset {
            _ if self.gone => {}
            CTRL if value & 1 << 26 != 0 => self.reset(value, false, now),
            // The request of software is lost while firmware has the semaphore.
            SW_FW_SYNC => {
                if self.get(SWSM) & 3 != 3 {
                    self.sync_without_semaphore.push(value);
                }
                self.registers.insert(SW_FW_SYNC, value);
            }
            SWSM if firmware => _ = self.registers.insert(SWSM, value & !2),
            EXTCNF_CTRL if firmware => _ = self.registers.insert(EXTCNF_CTRL, value & !(1 << 5)),
            IMS | EIMS => *self.registers.entry(offset).or_default() |= value,
            IMC => *self.registers.entry(IMS).or_default() &= !value,
            EIMC => *self.registers.entry(EIMS).or_default() &= !value,
            MDIC if value & 1 << 26 != 0 => match value >> 16 & 0x1f {
                0 => self.phy_control = value as u16,
                register => _ = self.phy.insert(register, value as u16),
            },
            ICR => {}
            _ => {
                self.registers.insert(offset, value);
                if offset == self.rings().tdt() {
                    self.transmit(memory);
                }
            }
        }
        Effects::empty()
    }
}
