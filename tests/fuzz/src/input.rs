//! A fuzzer's bytes as a sequence of values.

/// A reader that takes values from the front of the bytes; after the end every value is zero.
pub struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// True when no bytes are left: the loop over actions ends.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// At most `length` bytes.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }

    /// 8 bits.
    pub fn u8(&mut self) -> u8 {
        self.number(1) as u8
    }

    /// 16 bits.
    pub fn u16(&mut self) -> u16 {
        self.number(2) as u16
    }

    /// 32 bits.
    pub fn u32(&mut self) -> u32 {
        self.number(4) as u32
    }

    /// 64 bits.
    pub fn u64(&mut self) -> u64 {
        self.number(8)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number(if bound <= 256 { 1 } else { 8 }) % bound
    }

    /// One of `values`, of which there is at least one.
    pub fn choose<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// A little-endian number of `length` bytes, at most 8.
    pub fn number(&mut self, length: usize) -> u64 {
        let mut value = [0; 8];
        let taken = self.bytes(length.min(8));
        value[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(value)
    }
}
