//! One 8259A in 8086 mode.

use base::bits::low_u8;

/// The input whose vector stands for a withdrawn request.
const SPURIOUS: u8 = 7;

/// The meaning of the next write to the data port [8259A: initialization sequence].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Mask,
    Icw2,
    Icw3,
    Icw4,
}

/// One controller.
#[derive(Debug, Clone)]
pub(super) struct I8259 {
    /// Levels of the inputs.
    lines: u8,
    irr: u8,
    isr: u8,
    imr: u8,
    /// Inputs that are level-triggered; from the chipset, in place of ICW1.LTIM.
    level_triggered: u8,
    /// Inputs that a slave is wired to.
    slaves: u8,
    /// Bits 7:3 of the vectors.
    base: u8,
    expect: Expect,
    /// ICW1: no ICW3 follows, an ICW4 follows.
    single: bool,
    icw4_follows: bool,
    auto_eoi: bool,
    special_fully_nested: bool,
    rotate_on_auto_eoi: bool,
    special_mask: bool,
    /// The input of lowest priority; the next one has the highest.
    lowest: u8,
    read_isr: bool,
    poll: bool,
}

impl I8259 {
    /// An initialized chip with all inputs masked, and slaves at the inputs `slaves`.
    pub(super) fn new(base: u8, slaves: u8) -> Self {
        Self {
            lines: 0,
            irr: 0,
            isr: 0,
            imr: 0xff,
            level_triggered: 0,
            slaves,
            base,
            expect: Expect::Mask,
            single: false,
            icw4_follows: false,
            auto_eoi: false,
            special_fully_nested: false,
            rotate_on_auto_eoi: false,
            special_mask: false,
            lowest: 7,
            read_isr: false,
            poll: false,
        }
    }

    /// A request must stay until it is acknowledged: a falling line withdraws its request [8259A:
    /// edge and level triggered modes].
    pub(super) fn set_line(&mut self, input: u8, level: bool) {
        let bit = 1 << input;
        if !level {
            self.lines &= !bit;
            self.irr &= !bit;
        } else if self.lines & bit == 0 || self.level_triggered & bit != 0 {
            self.lines |= bit;
            self.irr |= bit;
        }
    }

    /// The input of a slave follows its output as a level, so that a second request behind the first is
    /// seen without an edge between them.
    pub(super) fn set_cascade(&mut self, input: u8, level: bool) {
        let bit = 1 << input;
        self.irr = if level { self.irr | bit } else { self.irr & !bit };
    }

    pub(super) fn level_triggered(&self) -> u8 {
        self.level_triggered
    }

    pub(super) fn set_level_triggered(&mut self, inputs: u8) {
        self.level_triggered = inputs;
        self.irr |= self.lines & inputs;
    }

    pub(super) fn output(&self) -> bool {
        self.request().is_some()
    }

    /// The vector of `input`, or of a withdrawn request.
    pub(super) fn vector(&self, input: Option<u8>) -> u8 {
        self.base | input.unwrap_or(SPURIOUS)
    }

    /// Puts the request of highest priority in service.
    pub(super) fn acknowledge(&mut self) -> Option<u8> {
        let input = self.request()?;
        let bit = 1 << input;
        if self.level_triggered & bit == 0 {
            self.irr &= !bit;
        }
        if !self.auto_eoi {
            self.isr |= bit;
        } else if self.rotate_on_auto_eoi {
            self.lowest = input;
        }
        Some(input)
    }

    pub(super) fn read(&mut self, data: bool) -> u8 {
        if core::mem::take(&mut self.poll) {
            const REQUEST: u8 = 1 << 7;
            return self.acknowledge().map_or(0, |input| REQUEST | input);
        }
        match (data, self.read_isr) {
            (true, _) => self.imr,
            (false, true) => self.isr,
            (false, false) => self.irr,
        }
    }

    pub(super) fn write(&mut self, data: bool, value: u8) {
        const ICW1: u8 = 1 << 4;
        const OCW3: u8 = 1 << 3;
        match (data, self.expect) {
            (false, _) if value & ICW1 != 0 => self.initialize(value),
            (false, _) if value & OCW3 != 0 => self.command3(value),
            (false, _) => self.command2(value),
            (true, Expect::Mask) => self.imr = value,
            (true, Expect::Icw2) => {
                self.base = value & 0xf8;
                self.expect = match (self.single, self.icw4_follows) {
                    (false, _) => Expect::Icw3,
                    (true, true) => Expect::Icw4,
                    (true, false) => Expect::Mask,
                };
            }
            // The board fixes how the two are cascaded.
            (true, Expect::Icw3) => {
                self.expect = if self.icw4_follows { Expect::Icw4 } else { Expect::Mask };
            }
            (true, Expect::Icw4) => {
                const AEOI: u8 = 1 << 1;
                const SFNM: u8 = 1 << 4;
                self.auto_eoi = value & AEOI != 0;
                self.special_fully_nested = value & SFNM != 0;
                self.expect = Expect::Mask;
            }
        }
    }

    /// ICW1 resets the edge sense, masks and priorities [8259A: initialization command words].
    fn initialize(&mut self, icw1: u8) {
        const IC4: u8 = 1 << 0;
        const SNGL: u8 = 1 << 1;
        *self = Self {
            lines: self.lines,
            irr: self.lines & self.level_triggered,
            imr: 0,
            level_triggered: self.level_triggered,
            expect: Expect::Icw2,
            single: icw1 & SNGL != 0,
            icw4_follows: icw1 & IC4 != 0,
            ..Self::new(self.base, self.slaves)
        };
    }

    /// OCW2: end of interrupt and rotation.
    fn command2(&mut self, value: u8) {
        let named = value & 7;
        match value >> 5 {
            // Rotate in automatic EOI mode: clear, set.
            0 => self.rotate_on_auto_eoi = false,
            4 => self.rotate_on_auto_eoi = true,
            // Non-specific EOI, without and with rotation.
            1 => {
                self.end(self.in_service());
            }
            5 => self.lowest = self.end(self.in_service()).unwrap_or(self.lowest),
            // Specific EOI, without and with rotation.
            3 => {
                self.end(Some(named));
            }
            7 => {
                self.end(Some(named));
                self.lowest = named;
            }
            6 => self.lowest = named,
            // No operation.
            _ => {}
        }
    }

    /// OCW3: special mask mode, poll, and which register a read shows.
    fn command3(&mut self, value: u8) {
        const POLL: u8 = 1 << 2;
        match value >> 5 & 3 {
            2 => self.special_mask = false,
            3 => self.special_mask = true,
            _ => {}
        }
        match value & 3 {
            2 => self.read_isr = false,
            3 => self.read_isr = true,
            _ => {}
        }
        self.poll = value & POLL != 0;
    }

    fn end(&mut self, input: Option<u8>) -> Option<u8> {
        self.isr &= !(1 << input?);
        input
    }

    /// The one of `inputs` with the highest priority.
    fn highest(&self, inputs: u8) -> Option<u8> {
        let first = u32::from(self.lowest) + 1;
        // The first of them in bit 0, and so on.
        let step = inputs.rotate_right(first).trailing_zeros();
        (inputs != 0).then(|| low_u8((first + step).into()) & 7)
    }

    /// The input that a non-specific EOI ends: in special mask mode, masked inputs do not count.
    fn in_service(&self) -> Option<u8> {
        self.highest(if self.special_mask { self.isr & !self.imr } else { self.isr })
    }

    /// The unmasked request with a higher priority than everything in service. In special fully nested mode a
    /// slave may interrupt itself: the slave's input being in service does not block it.
    fn request(&self) -> Option<u8> {
        let input = self.highest(self.irr & !self.imr)?;
        let rank = |input: u8| input.wrapping_sub(self.lowest + 1) & 7;
        let blocked = self.in_service().is_some_and(|serving| match rank(serving).cmp(&rank(input)) {
            core::cmp::Ordering::Less => true,
            core::cmp::Ordering::Equal => !self.special_fully_nested || self.slaves & 1 << input == 0,
            core::cmp::Ordering::Greater => false,
        });
        (!blocked).then_some(input)
    }
}
