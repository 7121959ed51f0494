//! The ring registers of the fake NIC and its descriptor formats.

/// Receive descriptor status: done, and end of packet.
const DD: u8 = 1;
const EOP: u8 = 2;

/// Registers and descriptors of a queue pair.
#[derive(Clone, Copy)]
pub struct Rings {
    pub receive: u32,
    pub transmit: u32,
    advanced: bool,
}

/// Which checksum the NIC is to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FakeContext {
    pub start: usize,
    pub field: usize,
    pub udp: bool,
    /// Where the format says that: where the IP header begins, and whether it is IPv4.
    pub ip: Option<(usize, bool)>,
}

pub const E1000: Rings = Rings { receive: 0x2800, transmit: 0x3800, advanced: false };
pub const IGB: Rings = Rings { receive: 0xc000, transmit: 0xe000, advanced: true };

impl Rings {
    pub const fn rdh(self) -> u32 {
        self.receive + 0x10
    }

    pub const fn rdt(self) -> u32 {
        self.receive + 0x18
    }

    pub const fn rxdctl(self) -> u32 {
        self.receive + 0x28
    }

    pub const fn tdh(self) -> u32 {
        self.transmit + 0x10
    }

    pub const fn tdt(self) -> u32 {
        self.transmit + 0x18
    }

    /// The second half of a receive descriptor as the NIC writes it back; `errors` are those of the legacy
    /// format, and `indication` is of the status, which begins with the same bits in both.
    pub fn received(self, length: usize, last: bool, indication: u8, errors: u8) -> [u8; 8] {
        let [low, high] = (length as u16).to_le_bytes();
        let status = if last { DD | EOP | indication } else { DD };
        if self.advanced {
            // The upper three error bits are the same; the others are one bit in this format.
            let errors = if errors & 0x1f != 0 { 0x80 } else { errors & 0xe0 };
            [status, 0, 0, errors, low, high, 0, 0]
        } else {
            [low, high, 0, 0, status, errors, 0, 0]
        }
    }

    /// What a context descriptor says [8254x 3.3.6, I210 7.2.2.2]; `None` for a data descriptor. Panics if it is of neither of
    /// the formats that the NIC expects.
    pub fn context(self, descriptor: [u8; 16]) -> Option<FakeContext> {
        let (kind, extended) = (descriptor[10] >> 4, descriptor[11] & 0x20 != 0);
        let byte = |at: usize| usize::from(descriptor[at]);
        match (self.advanced, kind, extended) {
            (false, 0, false) => assert_eq!(descriptor[13], 0, "a checksum in the old way"),
            (false, 1, true) | (true, 3, true) => {}
            (false, 0, true) => {
                assert_eq!(descriptor[6..8], [0; 2], "to the end of the packet");
                let udp = descriptor[11] & 1 == 0;
                return Some(FakeContext { start: byte(4), field: byte(5), udp, ip: None });
            }
            (true, 2, true) => {
                let [ip, link] = [byte(0) | (byte(1) & 1) << 8, byte(1) >> 1];
                let (ipv4, udp) = (descriptor[9] & 4 != 0, descriptor[9] & 8 == 0);
                let (start, field) = (link + ip, link + ip + if udp { 6 } else { 16 });
                assert_eq!(descriptor[12] & 0x70, 0, "the data descriptors name context 0");
                return Some(FakeContext { start, field, udp, ip: Some((link, ipv4)) });
            }
            _ => panic!("not a descriptor of this NIC: {descriptor:x?}"),
        }
        None
    }

    /// Panics unless the descriptor contains the length of the whole frame, where the format has that field.
    pub fn assert_tells_whole(self, half: [u8; 8], frame: usize) {
        let told = u32::from_le_bytes([half[4], half[5], half[6], half[7]]) >> 14;
        assert_eq!(told as usize, if self.advanced { frame } else { 0 });
    }
}
