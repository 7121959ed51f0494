//! The two cascaded 8259A interrupt controllers of a PC, and the edge/level control registers that chipsets
//! add.

mod i8259;

use i8259::I8259;

/// The master's ports: command at +0, data at +1.
pub const MASTER: u16 = 0x20;
/// The slave's ports: command at +0, data at +1.
pub const SLAVE: u16 = 0xa0;
/// Edge/level control of interrupts 0 to 7, and at +1 of 8 to 15 (ELCR1, ELCR2).
pub const ELCR: u16 = 0x4d0;

/// The master's input that the slave is wired to.
const CASCADE: u8 = 2;
/// The inputs that ELCR can make level-triggered: not the PIT (0), keyboard (1), cascade (2), clock (8) or
/// coprocessor (13).
const LEVEL_ALLOWED: [u8; 2] = [0xf8, 0xde];

/// Both controllers. InterruptControllers 0 to 7 arrive at the master, 8 to 15 at the slave.
#[derive(Debug, Clone)]
pub struct Pic {
    master: I8259,
    slave: I8259,
}

impl Default for Pic {
    fn default() -> Self {
        Self::new()
    }
}

impl Pic {
    /// Both controllers as PC firmware leaves them, except that every input is masked.
    #[must_use]
    pub fn new() -> Self {
        Self { master: I8259::new(0x08, 1 << CASCADE), slave: I8259::new(0x70, 0) }
    }

    /// Reads a byte from one of the six ports. Polling acknowledges an interrupt [8259A: poll command].
    pub fn read(&mut self, port: u16) -> u8 {
        match port {
            ELCR => self.master.level_triggered(),
            p if p == ELCR + 1 => self.slave.level_triggered(),
            _ => {
                let data = port & 1 != 0;
                let value = if port & !1 == MASTER { self.master.read(data) } else { self.slave.read(data) };
                self.connect();
                value
            }
        }
    }

    /// Writes a byte to one of the six ports.
    pub fn write(&mut self, port: u16, value: u8) {
        match port {
            ELCR => self.master.set_level_triggered(value & LEVEL_ALLOWED[0]),
            p if p == ELCR + 1 => self.slave.set_level_triggered(value & LEVEL_ALLOWED[1]),
            _ => {
                let data = port & 1 != 0;
                let chip = if port & !1 == MASTER { &mut self.master } else { &mut self.slave };
                chip.write(data, value);
            }
        }
        self.connect();
    }

    /// Sets the level of input `irq` (0 to 15, without 2).
    pub fn set_line(&mut self, irq: u8, level: bool) {
        match irq {
            CASCADE => {}
            0..=7 => self.master.set_line(irq, level),
            8..=15 => self.slave.set_line(irq - 8, level),
            _ => {}
        }
        self.connect();
    }

    /// The INT output of the master.
    #[must_use]
    pub fn output(&self) -> bool {
        self.master.output()
    }

    /// The processor's interrupt acknowledge: returns the vector. If the request was withdrawn after the
    /// output rose, that is the vector of input 7, of the master or the slave, and nothing is in service
    /// [8259A: interrupt sequence].
    pub fn acknowledge(&mut self) -> u8 {
        let vector = match self.master.acknowledge() {
            Some(CASCADE) => {
                let input = self.slave.acknowledge();
                self.slave.vector(input)
            }
            input => self.master.vector(input),
        };
        self.connect();
        vector
    }

    /// The slave's output is the master's input 2.
    fn connect(&mut self) {
        self.master.set_cascade(CASCADE, self.slave.output());
    }
}

#[cfg(test)]
mod tests;
