//! The root pointer of the ACPI tables, as a BIOS leaves it in memory [ACPI 6.5 5.2.5.1].

/// The pointer is on such a boundary.
const BOUNDARY: usize = 16;
/// The bytes that its first checksum covers.
const CHECKED: usize = 20;

/// The offset of the root pointer in this memory.
pub fn find(memory: &[u8]) -> Option<usize> {
    (0..memory.len()).step_by(BOUNDARY).find(|at| {
        let bytes = memory.get(*at..at + CHECKED).unwrap_or_default();
        bytes.starts_with(b"RSD PTR ") && bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_pointer_is_the_first_with_a_right_checksum() {
        let mut memory = [0u8; 128];
        for at in [16, 40, 64] {
            memory[at..at + 8].copy_from_slice(b"RSD PTR ");
            memory[at + 8] = memory[at..at + 8].iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
        }
        assert_eq!(find(&memory), Some(16));
        memory[16 + 12] = 1;
        // The one at 40 is not on a boundary.
        assert_eq!(find(&memory), Some(64));
        assert_eq!(find(&memory[..70]), None);
        assert_eq!(find(&[]), None);
    }
}
