//! The disk image for UEFI: a GPT with one EFI system partition, which contains one application under the default
//! name that firmware looks for on removable media [UEFI 2.10 3.5.1.1].

use anyhow::{Context, Result};
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use gpt::disk::LogicalBlockSize;
use std::fs::File;
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::path::Path;

const MIB: usize = 1 << 20;
const SECTOR: u64 = 512;
/// Room for both partition tables with their headers, and for alignment.
const TABLES: u64 = 64 * 1024;

/// Writes the disk image.
pub fn write(application: &[u8], image: &Path) -> Result<()> {
    let volume = volume(application).context("cannot make the file system")?;
    let mut disk = File::options().create(true).truncate(true).read(true).write(true).open(image)?;
    let size = volume.len() as u64 + TABLES;
    disk.set_len(size)?;
    let start = partition(&mut disk, size, volume.len() as u64).context("cannot make the partition table")?;
    disk.seek(SeekFrom::Start(start))?;
    disk.write_all(&volume)?;
    Ok(())
}

/// Makes a FAT file system with the application.
fn volume(application: &[u8]) -> Result<Vec<u8>> {
    // FAT itself takes at most one percent and a little more. Some firmware refuses a very small file system.
    let size = (application.len() + application.len() / 64 + 2 * MIB).next_multiple_of(MIB);
    let mut volume = Cursor::new(vec![0; size]);
    fatfs::format_volume(&mut volume, FormatVolumeOptions::new().volume_label(*b"WEIR       "))?;
    let files = FileSystem::new(&mut volume, FsOptions::new())?;
    let folder = files.root_dir().create_dir("EFI")?.create_dir("BOOT")?;
    folder.create_file("BOOTX64.EFI")?.write_all(application)?;
    drop(folder);
    files.unmount()?;
    Ok(volume.into_inner())
}

/// Writes the partition tables, and returns the offset of the partition.
fn partition(disk: &mut File, size: u64, bytes: u64) -> Result<u64> {
    let last = u32::try_from(size / SECTOR - 1).unwrap_or(u32::MAX);
    gpt::mbr::ProtectiveMBR::with_lb_size(last).overwrite_lba0(disk)?;
    let block = LogicalBlockSize::Lb512;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .initialized(false)
        .logical_block_size(block)
        .create_from_device(Box::new(disk), None)?;
    table.update_partitions(Default::default())?;
    let id = table.add_partition("Weir", bytes, gpt::partition_types::EFI, 0, None)?;
    let start =
        table.partitions().get(&id).context("the new partition is not in the table")?.bytes_start(block)?;
    table.write()?;
    Ok(start)
}
