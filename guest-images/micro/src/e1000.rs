//! A small driver for the 82540EM: one receive ring, one transmit ring, legacy descriptors, pin interrupts
//! [8254x 3, 13.4, 14].

use crate::{Failed, ensure, io_apic, mmio, pci, pic, processor, trap};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Registers as offsets in BAR 0 [8254x 13.4].
pub mod register {
    /// Device Control.
    pub const CTRL: u64 = 0x0000;
    /// Device Status.
    pub const STATUS: u64 = 0x0008;
    /// EEPROM Read.
    pub const EERD: u64 = 0x0014;
    /// Interrupt Cause Read.
    pub const ICR: u64 = 0x00c0;
    /// Interrupt Mask Set/Read.
    pub const IMS: u64 = 0x00d0;
    /// Interrupt Mask Clear.
    pub const IMC: u64 = 0x00d8;
    /// Receive Control.
    pub const RCTL: u64 = 0x0100;
    /// Transmit Control.
    pub const TCTL: u64 = 0x0400;
    /// Transmit Inter Packet Gap.
    pub const TIPG: u64 = 0x0410;
    /// Receive Descriptor Base Low.
    pub const RDBAL: u64 = 0x2800;
    /// Receive Descriptor Base High.
    pub const RDBAH: u64 = 0x2804;
    /// Receive Descriptor Length, in bytes.
    pub const RDLEN: u64 = 0x2808;
    /// Receive Descriptor Head.
    pub const RDH: u64 = 0x2810;
    /// Receive Descriptor Tail.
    pub const RDT: u64 = 0x2818;
    /// Transmit Descriptor Base Low.
    pub const TDBAL: u64 = 0x3800;
    /// Transmit Descriptor Base High.
    pub const TDBAH: u64 = 0x3804;
    /// Transmit Descriptor Length, in bytes.
    pub const TDLEN: u64 = 0x3808;
    /// Transmit Descriptor Head.
    pub const TDH: u64 = 0x3810;
    /// Transmit Descriptor Tail.
    pub const TDT: u64 = 0x3818;
    /// Missed Packets Count.
    pub const MPC: u64 = 0x4010;
    /// Good Packets Received Count.
    pub const GPRC: u64 = 0x4074;
    /// Good Packets Transmitted Count.
    pub const GPTC: u64 = 0x4080;
    /// Multicast Table Array, 128 dwords.
    pub const MTA: u64 = 0x5200;
    /// Receive Address Low 0.
    pub const RAL0: u64 = 0x5400;
    /// Receive Address High 0.
    pub const RAH0: u64 = 0x5404;
}
use register::*;

/// Length of BAR 0 [8254x 4.1.1].
pub const WINDOW: u64 = 128 * 1024;
/// Longest frame of the driver, without frame check sequence.
pub const MAX_FRAME: usize = 1514;

const RX_DESCRIPTORS: u32 = 128;
const TX_DESCRIPTORS: u32 = 64;
const DESCRIPTOR: u32 = 16;
const BUFFER: u32 = 2048;

const CTRL_SLU: u32 = 1 << 6;
const CTRL_ASDE: u32 = 1 << 5;
const CTRL_RST: u32 = 1 << 26;
const STATUS_LU: u32 = 1 << 1;
const RAH_AV: u32 = 1 << 31;
/// RCTL: EN, BAM, SECRC; buffers of 2048 bytes.
const RCTL_RUN: u32 = 1 << 1 | 1 << 15 | 1 << 26;
/// TCTL: EN, PSP, CT 0x10, COLD 0x40.
const TCTL_RUN: u32 = 1 << 1 | 1 << 3 | 0x10 << 4 | 0x40 << 12;
/// ICR: link status change, receive overrun, receive timer, and receive descriptor minimum threshold.
const CAUSES: u32 = 1 << 2 | 1 << 6 | 1 << 7 | 1 << 4;
/// Transmit command: end of packet, insert FCS, report status [8254x 3.3.3.1].
const TX_COMMAND: u8 = 1 << 0 | 1 << 1 | 1 << 3;
/// Descriptor status, descriptor done.
const DD: u8 = 1 << 0;
/// Receive status, end of packet.
const EOP: u8 = 1 << 1;

/// Vector of the NIC's interrupts if they arrive through the I/O APIC.
const VECTOR: u8 = 0x60;
/// Timeout of the driver's waits on the device, in register reads.
const WAIT_TIMEOUT: u32 = 100_000;
/// Timeout until the link is up, in multiples of [`WAIT_TIMEOUT`].
const LINK_TIMEOUT: u32 = 20;

#[repr(C, align(4096))]
struct Dma<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);
// SAFETY: accessed only by address through `mmio`, on the only processor, and by the device.
unsafe impl<const BYTES: usize> Sync for Dma<BYTES> {}

impl<const BYTES: usize> Dma<BYTES> {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; BYTES]))
    }

    fn address(&'static self) -> u64 {
        self.0.get() as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "the guests are loaded below 4 GiB")]
    fn address_low(&'static self) -> u32 {
        self.address() as u32
    }
}

static RX_RING: Dma<{ (RX_DESCRIPTORS * DESCRIPTOR) as usize }> = Dma::new();
static TX_RING: Dma<{ (TX_DESCRIPTORS * DESCRIPTOR) as usize }> = Dma::new();
static RX_BUFFERS: Dma<{ (RX_DESCRIPTORS * BUFFER) as usize }> = Dma::new();
static TX_BUFFERS: Dma<{ (TX_DESCRIPTORS * BUFFER) as usize }> = Dma::new();

/// Register window of the NIC whose interrupts are handled, for the interrupt hook.
static WINDOW_OF_HOOK: AtomicU64 = AtomicU64::new(0);
static CAUSES_SEEN: AtomicU32 = AtomicU32::new(0);

/// The NIC with its rings.
pub struct Nic {
    window: u64,
    /// Its MAC address, from the EEPROM.
    pub mac: [u8; 6],
    rx_next: u32,
    tx_next: u32,
    tx_oldest: u32,
    give_back: u32,
}

impl Nic {
    /// Finds the first 82540EM and enables it on the bus, without touching its registers.
    ///
    /// # Errors
    /// After a `FAIL` line: there is none, or its BAR 0 is not set.
    pub fn find() -> Result<(Self, pci::Function), Failed> {
        let found = pci::find(0x8086, 0x100e).next();
        ensure!(found.is_some(), "no 82540EM on the PCI bus");
        let function = found.ok_or(Failed)?;
        function.enable();
        let window = function.memory_bar(0);
        ensure!(window != 0, "BAR 0 of the 82540EM is zero");
        Ok((Self { window, mac: [0; 6], rx_next: 0, tx_next: 0, tx_oldest: 0, give_back: 1 }, function))
    }

    /// Finds the NIC, initialises it and enables its interrupts. The interrupt controllers must be running.
    ///
    /// # Errors
    /// After a `FAIL` line.
    pub fn start() -> Result<Self, Failed> {
        let (mut nic, function) = Self::find()?;
        nic.initialise()?;
        WINDOW_OF_HOOK.store(nic.window, Relaxed);
        take_line(function.interrupt_line());
        nic.write(IMS, CAUSES);
        Ok(nic)
    }

    /// Resets the NIC and sets it up [8254x 14.3 to 14.5]; its interrupts stay masked.
    ///
    /// # Errors
    /// After a `FAIL` line: a wait timed out, or the EEPROM's checksum is wrong.
    pub fn initialise(&mut self) -> Result<(), Failed> {
        self.write(IMC, u32::MAX);
        self.write(CTRL, self.read(CTRL) | CTRL_RST);
        ensure!(self.settles(CTRL, CTRL_RST, 0), "CTRL.RST does not clear");
        self.write(IMC, u32::MAX);
        let _ = self.read(ICR);
        self.write(CTRL, self.read(CTRL) | CTRL_SLU | CTRL_ASDE);
        // Without Weir, the machine's NIC may need half a second for auto-negotiation.
        let up = (0..LINK_TIMEOUT).any(|_| self.settles(STATUS, STATUS_LU, STATUS_LU));
        ensure!(up, "STATUS.LU does not come up");
        self.read_mac()?;
        let [a, b, c, d, e, f] = self.mac;
        self.write(RAL0, u32::from_le_bytes([a, b, c, d]));
        self.write(RAH0, u32::from_le_bytes([e, f, 0, 0]) | RAH_AV);
        for index in 0..128 {
            self.write(MTA + 4 * index, 0);
        }
        self.start_receive();
        self.start_transmit();
        Ok(())
    }

    fn settles(&self, register: u64, mask: u32, value: u32) -> bool {
        (0..WAIT_TIMEOUT).any(|_| {
            processor::relax();
            self.read(register) & mask == value
        })
    }

    /// Reads all 64 words of the EEPROM, whose sum must be 0xBABA [8254x 5.6.35].
    fn read_mac(&mut self) -> Result<(), Failed> {
        let mut sum = 0_u16;
        for index in 0..64 {
            let word = self.eeprom(index);
            ensure!(word.is_some(), "EEPROM word {index} does not arrive");
            let word = word.unwrap_or(0);
            sum = sum.wrapping_add(word);
            if let Some(pair) = self.mac.get_mut(2 * usize::from(index)..2 * usize::from(index) + 2) {
                pair.copy_from_slice(&word.to_le_bytes());
            }
        }
        ensure!(sum == 0xbaba, "EEPROM words add up to {sum:#x}");
        Ok(())
    }

    /// Reads an EEPROM word through EERD [8254x 13.4.4].
    #[must_use]
    pub fn eeprom(&self, word: u8) -> Option<u16> {
        self.write(EERD, u32::from(word) << 8 | 1);
        self.settles(EERD, 1 << 4, 1 << 4).then(|| (self.read(EERD) >> 16) as u16)
    }

    fn start_receive(&mut self) {
        for index in 0..RX_DESCRIPTORS {
            let descriptor = RX_RING.address() + u64::from(index * DESCRIPTOR);
            mmio::write_qword(descriptor, RX_BUFFERS.address() + u64::from(index * BUFFER));
            mmio::write_qword(descriptor + 8, 0);
        }
        self.write(RDBAL, RX_RING.address_low());
        self.write(RDBAH, 0);
        self.write(RDLEN, RX_DESCRIPTORS * DESCRIPTOR);
        self.write(RDH, 0);
        self.rx_next = 0;
        self.write(RCTL, RCTL_RUN);
        self.write(RDT, RX_DESCRIPTORS - 1);
    }

    fn start_transmit(&mut self) {
        self.write(TDBAL, TX_RING.address_low());
        self.write(TDBAH, 0);
        self.write(TDLEN, TX_DESCRIPTORS * DESCRIPTOR);
        self.write(TDH, 0);
        self.write(TDT, 0);
        (self.tx_next, self.tx_oldest) = (0, 0);
        self.write(TIPG, 10 | 8 << 10 | 6 << 20);
        self.write(TCTL, TCTL_RUN);
    }

    /// Start of BAR 0.
    #[must_use]
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Reads a register.
    #[must_use]
    pub fn read(&self, register: u64) -> u32 {
        mmio::read_dword(self.window + register)
    }

    /// Writes a register.
    pub fn write(&self, register: u64, value: u32) {
        mmio::write_dword(self.window + register, value);
    }

    /// Length of the transmit ring, in descriptors.
    #[must_use]
    pub fn tx_descriptors(&self) -> u32 {
        TX_DESCRIPTORS
    }

    /// Length of the receive ring, in descriptors.
    #[must_use]
    pub fn rx_descriptors(&self) -> u32 {
        RX_DESCRIPTORS
    }

    /// Sets the number of receive descriptors that are returned at a time, a divisor of the ring's length.
    pub fn give_back_every(&mut self, descriptors: u32) {
        self.give_back = descriptors.max(1);
    }

    /// Writes the transmit descriptor at the tail for a buffer at any address, and advances the tail.
    pub fn send_from(&mut self, buffer: u64, length: u16) {
        self.queue_from(buffer, length);
        self.move_tail();
    }

    /// Writes the transmit descriptor at the tail for a buffer at any address. The NIC sees it when the tail is
    /// advanced.
    pub fn queue_from(&mut self, buffer: u64, length: u16) {
        let descriptor = TX_RING.address() + u64::from(self.tx_next * DESCRIPTOR);
        mmio::write_qword(descriptor, buffer);
        mmio::write_qword(descriptor + 8, u64::from(length) | u64::from(TX_COMMAND) << 24);
        self.tx_next = (self.tx_next + 1) % TX_DESCRIPTORS;
    }

    /// Advances the tail of the transmit ring beyond all queued descriptors.
    pub fn move_tail(&self) {
        self.write(TDT, self.tx_next);
    }

    /// Points the receive descriptor that the NIC uses next to a buffer at any address.
    pub fn receive_to(&mut self, buffer: u64) {
        let head = self.read(RDH) % RX_DESCRIPTORS;
        mmio::write_qword(RX_RING.address() + u64::from(head * DESCRIPTOR), buffer);
    }

    /// Reclaims the completed transmit descriptors, and returns the number of free ones.
    pub fn tx_room(&mut self) -> u32 {
        while self.tx_oldest != self.tx_next {
            let descriptor = TX_RING.address() + u64::from(self.tx_oldest * DESCRIPTOR);
            if mmio::read_byte(descriptor + 12) & DD == 0 {
                break;
            }
            self.tx_oldest = (self.tx_oldest + 1) % TX_DESCRIPTORS;
        }
        TX_DESCRIPTORS - 1 - (TX_DESCRIPTORS + self.tx_next - self.tx_oldest) % TX_DESCRIPTORS
    }

    /// Stores a copy of a frame, and returns its address. It can be queued repeatedly, until [`send`](Self::send)
    /// is called.
    pub fn keep(&mut self, frame: &[u8; MAX_FRAME]) -> u64 {
        mmio::write_bytes(TX_BUFFERS.address(), frame);
        TX_BUFFERS.address()
    }

    /// Queues a copy of a frame; false when the ring is full or the frame too long.
    pub fn send(&mut self, frame: &[u8]) -> bool {
        let Ok(length) = u16::try_from(frame.len()) else { return false };
        if frame.len() > MAX_FRAME || self.tx_room() == 0 {
            return false;
        }
        let buffer = TX_BUFFERS.address() + u64::from(self.tx_next * BUFFER);
        mmio::write_bytes(buffer, frame);
        self.send_from(buffer, length);
        true
    }

    /// Copies the next received frame out, returns its descriptor to the NIC, and returns the frame's length.
    ///
    /// A frame that does not fit in one descriptor, or in `into`, is skipped.
    pub fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        loop {
            let descriptor = RX_RING.address() + u64::from(self.rx_next * DESCRIPTOR);
            let status = mmio::read_byte(descriptor + 12);
            if status & DD == 0 {
                return None;
            }
            let length = usize::from(mmio::read_word(descriptor + 8));
            let buffer = RX_BUFFERS.address() + u64::from(self.rx_next * BUFFER);
            let whole = status & EOP != 0 && mmio::read_byte(descriptor + 13) == 0;
            let room = into.get_mut(..length).filter(|_| whole);
            let taken = room.map(|room| mmio::read_bytes(buffer, room)).is_some();
            mmio::write_qword(descriptor, buffer);
            mmio::write_qword(descriptor + 8, 0);
            let last = self.rx_next;
            self.rx_next = (self.rx_next + 1) % RX_DESCRIPTORS;
            if self.rx_next.is_multiple_of(self.give_back) {
                self.write(RDT, last);
            }
            if taken {
                return Some(length);
            }
        }
    }
}

/// Routes the NIC's interrupts: through the 8259s if the line is one of theirs, and otherwise through the I/O
/// APIC.
fn take_line(line: u8) {
    if line < 16 {
        trap::set_hook(pic::FIRST_VECTOR + line, take_interrupt);
        pic::make_level(line);
        pic::unmask(line);
    } else {
        trap::set_hook(VECTOR, take_interrupt);
        io_apic::route(line, VECTOR);
    }
}

/// Returns the interrupt causes that the hook has read since the last call.
#[must_use]
pub fn take_causes() -> u32 {
    CAUSES_SEEN.swap(0, Relaxed)
}

/// Reading ICR clears it and releases the interrupt line [8254x 13.4.17].
fn take_interrupt() {
    let causes = mmio::read_dword(WINDOW_OF_HOOK.load(Relaxed) + ICR);
    CAUSES_SEEN.fetch_or(causes, Relaxed);
}
