//! Firmware information for the kernel: the screen and the ACPI tables.

use bootloader_api::info::{FrameBufferInfo, PixelFormat};
use bootloader_x86_64_common::RawFrameBufferInfo;
use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams};
use uefi::proto::console::gop::{self, GraphicsOutput};
use uefi::table::cfg::ConfigTableEntry;
use x86_64::PhysAddr;

/// The screen in its current mode. `None` if the firmware has no screen, or one without a linear framebuffer: such
/// a machine has its log on the serial port only.
pub fn framebuffer() -> Option<RawFrameBufferInfo> {
    let handle = boot::get_handle_for_protocol::<GraphicsOutput>().ok()?;
    let params = OpenProtocolParams { handle, agent: boot::image_handle(), controller: None };
    // SAFETY: the firmware's console continues to use the screen, and this program does not change its mode.
    let mut screen =
        unsafe { boot::open_protocol::<GraphicsOutput>(params, OpenProtocolAttributes::GetProtocol) }.ok()?;
    let mode = screen.current_mode_info();
    let pixel_format = match mode.pixel_format() {
        gop::PixelFormat::Rgb => PixelFormat::Rgb,
        gop::PixelFormat::Bgr => PixelFormat::Bgr,
        gop::PixelFormat::Bitmask | gop::PixelFormat::BltOnly => return None,
    };
    let (width, height) = mode.resolution();
    let mut memory = screen.frame_buffer();
    let info = FrameBufferInfo {
        byte_len: memory.size(),
        width,
        height,
        pixel_format,
        bytes_per_pixel: 4,
        stride: mode.stride(),
    };
    Some(RawFrameBufferInfo { addr: PhysAddr::new(memory.as_mut_ptr() as u64), info })
}

/// The address of the ACPI root pointer: of version 2 if there is one, since that supports addresses above 4 GiB.
pub fn rsdp() -> Option<PhysAddr> {
    uefi::system::with_config_table(|entries| {
        let find = |guid| entries.iter().find(|entry| entry.guid == guid);
        let entry = find(ConfigTableEntry::ACPI2_GUID).or_else(|| find(ConfigTableEntry::ACPI_GUID))?;
        Some(PhysAddr::new(entry.address as u64))
    })
}
