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

    /// Panics unless the second half of a transmit descriptor is of the format the NIC expects.
    pub fn assert_is_data(self, half: [u8; 8]) {
        let (kind, extended) = (half[2] >> 4, half[3] & 0x20 != 0);
        assert_eq!((kind, extended), if self.advanced { (3, true) } else { (0, false) });
    }

    /// Panics unless the descriptor contains the length of the whole frame, where the format has that field.
    pub fn assert_tells_whole(self, half: [u8; 8], frame: usize) {
        let told = u32::from_le_bytes([half[4], half[5], half[6], half[7]]) >> 14;
        assert_eq!(told as usize, if self.advanced { frame } else { 0 });
    }
}
