//! A minimal guest driver, for tests of the model through its public interface.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

pub mod segments;

use base::{Effects, Instant, MacAddress, Outbox, Port};
use intel_regs::desc::{RxDescriptor, TxCommand, TxContext, TxData, TxLegacy};
use intel_regs::{Ctrl, Rctl, Tctl, reg};
use testkit::{FakeMemory, bounce_memory, bytes_of, frames_of, put_all};
use vnic::{Vnic, VnicModelConfig};

pub const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
pub const PEER: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 2]);
pub const MEMORY: usize = 4 << 20;
pub const RX_RING: u64 = 0x1000;
pub const TX_RING: u64 = 0x2_0000;
pub const RX_BUFFERS: u64 = 0x10_0000;
pub const TX_BUFFERS: u64 = 0x20_0000;
pub const RING: u32 = 64;
pub const DD: u8 = 1;

/// A vNIC, its guest's memory and the time.
pub struct Guest {
    pub nic: Vnic,
    pub memory: FakeMemory,
    pub now: Instant,
    pub rx_buffer: u64,
    rx_next: u32,
    tx_next: u32,
    tx_buffer: u64,
}

impl Guest {
    /// A guest whose vNIC was just powered on.
    pub fn bare() -> Self {
        Self {
            nic: Vnic::new(VnicModelConfig::new(MAC), bounce_memory()),
            memory: FakeMemory::new(MEMORY),
            now: Instant(1_000_000),
            rx_buffer: 2048,
            rx_next: 0,
            tx_next: 0,
            tx_buffer: TX_BUFFERS,
        }
    }

    /// A guest with link, rings, and both units enabled; it accepts broadcasts and has the check sequence stripped.
    pub fn new() -> Self {
        Self::with(Rctl::BAM | Rctl::SECRC, RING)
    }

    /// A guest with these receive settings and rings of `ring` descriptors.
    pub fn with(control: Rctl, ring: u32) -> Self {
        let mut guest = Self::bare();
        guest.rx_buffer = u64::from(control.buffer_size().unwrap_or(2048));
        guest.set(reg::CTRL, (Ctrl::SLU | Ctrl::FD).bits());
        guest.set(reg::TDBAL, TX_RING as u32);
        guest.set(reg::TDLEN, ring * 16);
        guest.set(reg::TCTL, (Tctl::EN | Tctl::PSP).bits());
        guest.set(reg::RDBAL, RX_RING as u32);
        guest.set(reg::RDLEN, ring * 16);
        for index in 0..ring {
            guest.post(index, RX_BUFFERS + u64::from(index) * guest.rx_buffer);
        }
        guest.set(reg::RDT, ring - 1);
        guest.set(reg::RCTL, (control | Rctl::EN).bits());
        guest.set(reg::IMS, u32::MAX);
        let _ = guest.read(reg::ICR);
        guest
    }

    pub fn read(&mut self, offset: u32) -> u32 {
        self.nic.read(offset, self.now).0
    }

    pub fn write(&mut self, offset: u32, value: u32) -> Effects {
        self.nic.write(offset, value, self.now)
    }

    /// Writes a register whose effects do not matter.
    pub fn set(&mut self, offset: u32, value: u32) {
        let _ = self.write(offset, value);
    }

    pub fn pass(&mut self, nanoseconds: u64) -> Effects {
        self.now = Instant(self.now.0 + nanoseconds);
        self.nic.advance(self.now)
    }

    // Receive.

    /// Writes a receive descriptor with this buffer.
    pub fn post(&self, index: u32, address: u64) {
        let descriptor = RxDescriptor { address: address.into(), ..Default::default() };
        self.memory.put(RX_RING + u64::from(index) * 16, &descriptor.to_bytes());
    }

    pub fn rx_descriptor(&self, index: u32) -> RxDescriptor {
        RxDescriptor::from_bytes(self.memory.get(RX_RING + u64::from(index) * 16))
    }

    /// Frames from the wire; returns how many were accepted.
    pub fn send(&mut self, frames: &[&[u8]]) -> usize {
        put_all(&mut self.nic.port(&self.memory), frames.iter().copied(), self.now)
    }

    /// Consumes the next frame in the ring, as a driver does, without recycling its descriptors.
    pub fn receive(&mut self) -> Option<(Vec<u8>, RxDescriptor)> {
        let ring = self.read(reg::RDLEN) / 16;
        let mut frame = Vec::new();
        for step in 0..ring {
            let index = (self.rx_next + step) % ring;
            let descriptor = self.rx_descriptor(index);
            if descriptor.status & 1 == 0 {
                return None;
            }
            let length = usize::from(descriptor.length.get());
            frame.extend(self.memory.bytes(descriptor.address.get(), length));
            if descriptor.status & 2 != 0 {
                self.rx_next = (index + 1) % ring;
                return Some((frame, descriptor));
            }
        }
        None
    }

    /// Returns to the NIC every descriptor that the driver has consumed.
    pub fn recycle(&mut self) -> Effects {
        let ring = self.read(reg::RDLEN) / 16;
        let mut index = (self.read(reg::RDT) + 1) % ring;
        while index != self.rx_next {
            self.post(index, RX_BUFFERS + u64::from(index) * self.rx_buffer);
            index = (index + 1) % ring;
        }
        self.write(reg::RDT, (self.rx_next + ring - 1) % ring)
    }

    // Transmit.

    /// Puts bytes into a fresh buffer.
    pub fn buffer(&mut self, bytes: &[u8]) -> u64 {
        if self.tx_buffer + bytes.len() as u64 > MEMORY as u64 {
            self.tx_buffer = TX_BUFFERS;
        }
        let address = self.tx_buffer;
        self.memory.put(address, bytes);
        self.tx_buffer += (bytes.len() as u64).next_multiple_of(16);
        address
    }

    /// Queues a descriptor without notifying the NIC; returns its index.
    pub fn queue(&mut self, descriptor: [u8; 16]) -> u32 {
        let index = self.tx_next;
        self.memory.put(TX_RING + u64::from(index) * 16, &descriptor);
        let ring = self.read(reg::TDLEN) / 16;
        self.tx_next = (index + 1) % ring;
        index
    }

    pub fn queue_legacy(&mut self, bytes: &[u8], command: TxCommand) -> u32 {
        let descriptor = TxLegacy {
            address: self.buffer(bytes).into(),
            length: (bytes.len() as u16).into(),
            command: command.bits(),
            ..Default::default()
        };
        self.queue(descriptor.to_bytes())
    }

    pub fn queue_data(&mut self, bytes: &[u8], command: TxCommand, options: u8) -> u32 {
        let descriptor = TxData { address: self.buffer(bytes).into(), options, ..Default::default() }
            .with_command(command, bytes.len() as u32);
        self.queue(descriptor.to_bytes())
    }

    pub fn queue_context(&mut self, context: TxContext) -> u32 {
        self.queue(context.to_bytes())
    }

    /// Notifies the NIC of the queued descriptors by writing the tail.
    pub fn kick(&mut self) -> Effects {
        let tail = self.tx_next;
        self.write(reg::TDT, tail)
    }

    /// Fetches at most `budget` frames, all of which arrive.
    pub fn poll(&mut self, budget: usize) -> Vec<Vec<u8>> {
        frames_of(&mut self.nic.port(&self.memory), budget, self.now)
    }

    /// Fetches all frames that the NIC has to send, in batches of `budget` frames.
    pub fn poll_all(&mut self, budget: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut outbox = Outbox::new(0);
        for _ in 0..100_000 {
            let mut port = self.nic.port(&self.memory);
            port.fetch(&mut outbox, budget, self.now);
            while let Some(slot) = outbox.fetched() {
                frames.push(bytes_of(outbox.frame(slot)));
                outbox.share(slot, 0);
            }
            let waits = outbox.is_full();
            port.settle(&mut outbox, self.now);
            if !self.nic.take_effects().contains(Effects::TX_KICK) && !waits {
                return frames;
            }
        }
        panic!("the NIC never ran out of work");
    }

    /// Sends one frame with a legacy descriptor and returns the frames that came out.
    pub fn transmit(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.queue_legacy(frame, TxCommand::EOP | TxCommand::IFCS | TxCommand::RS);
        let _ = self.kick();
        self.poll_all(64)
    }

    pub fn tx_status(&self, index: u32) -> u8 {
        self.memory.read_u8(TX_RING + u64::from(index) * 16 + 12)
    }
}

/// A frame for the guest, `length` bytes long.
pub fn frame_to(destination: MacAddress, length: usize) -> Vec<u8> {
    testkit::frame::numbered(destination, PEER, 7, length)
}
