//! A disk that a BIOS starts from, made by the `bootloader` crate, with its file system made anew.
//!
//! The crate's second stage reads 16 KiB from the disk for every cluster of a file, and the file-allocation table for
//! every one as well. In the small clusters that the crate formats with it reads each byte many times over, which BIOSes
//! are slow at. And of file systems it understands only those that count their sectors in 16 bits.

use anyhow::{Context, Result, ensure};
use bootloader::BiosBoot;
use bootloader_boot_config::{BootConfig, LevelFilter};
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use std::fs;
use std::io::{Cursor, Read, Write};
use std::ops::Range;
use std::path::Path;

/// What the second stage reads at a time.
const CLUSTER: u32 = 16 * 1024;
/// Sectors of the disk, and those that larger file systems count in.
const SECTOR: usize = 512;
const LARGE_SECTOR: u16 = 4096;
const MOST_SECTORS: usize = 0xffff;
/// The second entry of the partition table: first sector and number of sectors.
const START: Range<usize> = 0x1d6..0x1da;
const SECTORS: Range<usize> = 0x1da..0x1de;

/// Writes the image of a disk with this kernel and this ramdisk.
pub fn write(kernel: &Path, ramdisk: &Path, image: &Path) -> Result<()> {
    // The loader says what goes wrong, on the screen: the serial line is Weir's, and drawing takes long.
    let mut loader = BootConfig::default();
    loader.log_level = LevelFilter::Warn;
    loader.frame_buffer_logging = true;
    loader.serial_logging = false;
    let mut boot = BiosBoot::new(kernel);
    boot.set_boot_config(&loader).set_ramdisk(ramdisk);
    boot.create_disk_image(image)?;
    let mut disk = fs::read(image)?;
    let start = field(&disk, START)? * SECTOR;
    let volume = remake(disk.get_mut(start..).context("its partition begins behind its end")?)?;
    disk.truncate(start);
    disk.extend(&volume);
    let sectors = u32::try_from(volume.len() / SECTOR)?;
    disk[SECTORS].copy_from_slice(&sectors.to_le_bytes());
    Ok(fs::write(image, disk)?)
}

fn field(disk: &[u8], at: Range<usize>) -> Result<usize> {
    let bytes = disk.get(at).context("it has no partition table")?;
    Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
}

/// The same files in a file system that suits the loader.
fn remake(old: &mut [u8]) -> Result<Vec<u8>> {
    let old = FileSystem::new(Cursor::new(old), FsOptions::new())?;
    let mut files = Vec::new();
    for entry in old.root_dir().iter() {
        let entry = entry?;
        let mut bytes = Vec::new();
        if entry.is_file() {
            entry.to_file().read_to_end(&mut bytes)?;
            files.push((entry.file_name(), bytes));
        }
    }
    let cluster = CLUSTER as usize;
    let data: usize = files.iter().map(|(_, bytes)| bytes.len().next_multiple_of(cluster)).sum();
    // Reserved sectors, two tables of two bytes a cluster at most, the root directory, rounding.
    let size = (data + data / cluster * 4 + 8 * cluster).next_multiple_of(cluster);
    let sector = if size / SECTOR <= MOST_SECTORS { SECTOR as u16 } else { LARGE_SECTOR };
    ensure!(
        size / usize::from(sector) <= MOST_SECTORS,
        "kernel and guests take {} MiB: the loader for BIOSes cannot read more than 255, UEFI can",
        size >> 20
    );
    let mut volume = Cursor::new(vec![0; size]);
    let options = FormatVolumeOptions::new()
        .bytes_per_sector(sector)
        .bytes_per_cluster(CLUSTER)
        .volume_label(*b"WEIR       ");
    fatfs::format_volume(&mut volume, options)?;
    let new = FileSystem::new(&mut volume, FsOptions::new())?;
    for (name, bytes) in &files {
        new.root_dir().create_file(name)?.write_all(bytes)?;
    }
    new.unmount()?;
    Ok(volume.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remakes a file system with one file of so many bytes; its sectors' size and their number in 16 bits.
    fn remade(bytes: usize) -> (usize, usize) {
        let content: Vec<u8> = (0..bytes).map(|index| (index / 7) as u8).collect();
        let mut old = vec![0; bytes + bytes / 64 + (1 << 20)];
        fatfs::format_volume(Cursor::new(&mut old[..]), FormatVolumeOptions::new()).unwrap();
        let files = FileSystem::new(Cursor::new(&mut old[..]), FsOptions::new()).unwrap();
        files.root_dir().create_file("kernel-x86_64").unwrap().write_all(&content).unwrap();
        files.unmount().unwrap();
        let mut new = remake(&mut old).unwrap();
        let number = |at: usize| usize::from(u16::from_le_bytes([new[at], new[at + 1]]));
        let (sector, sectors) = (number(11), number(19));
        assert_eq!(sector * usize::from(new[13]), CLUSTER as usize);
        assert_eq!(sector * sectors, new.len());
        let files = FileSystem::new(Cursor::new(&mut new[..]), FsOptions::new()).unwrap();
        let mut found = Vec::new();
        files.root_dir().open_file("kernel-x86_64").unwrap().read_to_end(&mut found).unwrap();
        assert!(found == content, "{bytes} bytes changed");
        (sector, sectors)
    }

    #[test]
    fn sectors_are_counted_in_16_bits_whatever_the_size() {
        assert_eq!(remade(100_000).0, 512);
        assert_eq!(remade(31 << 20).0, 512);
        assert_eq!(remade(33 << 20).0, 4096);
    }
}
