//! Where the part of a memory map ends that the direct map has to cover.

/// How many regions of a sorted map there are up to the last one that is memory. What comes after it are devices and
/// reserved addresses: some firmware reports them at the top of the address space, and a direct map up to there would
/// take hundreds of MiB of page tables, or have no room at all.
pub fn regions_to_last_ram(is_memory: impl Iterator<Item = bool>) -> usize {
    is_memory.enumerate().filter(|(_, is_memory)| *is_memory).last().map_or(0, |(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::regions_to_last_ram;

    #[test]
    fn regions_beyond_the_last_memory_are_left_out() {
        assert_eq!(regions_to_last_ram([true, false, true, false, false].into_iter()), 3);
        assert_eq!(regions_to_last_ram([false, true].into_iter()), 2);
        assert_eq!(regions_to_last_ram([false, false].into_iter()), 0);
    }
}
