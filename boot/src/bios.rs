//! The disk image for BIOS: made by the `bootloader` crate, then given another file system.
//!
//! For every cluster of a file, the crate's second stage reads 16 KiB from the disk and also the file-allocation
//! table. With the small clusters that the crate formats, it reads each byte many times, and BIOS disk access is
//! slow. Besides, it supports only file systems whose number of sectors fits in 16 bits.

use anyhow::{Context, Result, ensure};
use bootloader::BiosBoot;
use bootloader_boot_config::{BootConfig, LevelFilter};
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use std::fs;
use std::io::{Cursor, Read, Write};
use std::ops::Range;
use std::path::Path;

/// The number of bytes that the second stage reads at a time.
const CLUSTER: u32 = 16 * 1024;
/// Sector size of the disk, and of file systems that would otherwise have too many sectors.
const SECTOR: u16 = 512;
const LARGE_SECTOR: u16 = 4096;
const MOST_SECTORS: usize = 0xffff;
/// The second entry of the partition table: first sector and number of sectors.
const START: Range<usize> = 0x1d6..0x1da;
const SECTORS: Range<usize> = 0x1da..0x1de;

/// Writes a disk image with this kernel and this RAM disk.
pub fn write(kernel: &Path, ramdisk: &Path, image: &Path) -> Result<()> {
    // The loader reports errors on the screen only: the serial line is Weir's. It logs nothing else, since drawing
    // is slow.
    let mut loader = BootConfig::default();
    loader.log_level = LevelFilter::Warn;
    loader.frame_buffer_logging = true;
    loader.serial_logging = false;
    let mut boot = BiosBoot::new(kernel);
    boot.set_boot_config(&loader).set_ramdisk(ramdisk);
    boot.create_disk_image(image)?;
    let mut disk = fs::read(image)?;
    let start = field(&disk, START)? * usize::from(SECTOR);
    let volume =
        remake(disk.get_mut(start..).context("the partition begins beyond the end of the disk image")?)?;
    disk.truncate(start);
    disk.extend(&volume);
    let sectors = u32::try_from(volume.len() / usize::from(SECTOR))?;
    disk[SECTORS].copy_from_slice(&sectors.to_le_bytes());
    Ok(fs::write(image, disk)?)
}

fn field(disk: &[u8], at: Range<usize>) -> Result<usize> {
    let bytes = disk.get(at).context("the disk image has no partition table")?;
    Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
}

/// Copies the files into a new file system that suits the loader.
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
    // Room for reserved sectors, two tables of at most two bytes per cluster, the root directory, and rounding.
    let size = (data + data / cluster * 4 + 8 * cluster).next_multiple_of(cluster);
    let fits = size / usize::from(SECTOR) <= MOST_SECTORS;
    let sector = if fits { SECTOR } else { LARGE_SECTOR };
    ensure!(
        size / usize::from(sector) <= MOST_SECTORS,
        "kernel and guests take {} MiB, but the BIOS loader can read at most 255 MiB: use a UEFI image",
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

    /// Remakes a file system with one file of this many bytes, and returns the size of its sectors and the 16-bit
    /// number of them.
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
    fn the_number_of_sectors_fits_in_16_bits_for_any_size() {
        assert_eq!(remade(100_000).0, 512);
        assert_eq!(remade(31 << 20).0, 512);
        assert_eq!(remade(33 << 20).0, 4096);
    }
}
