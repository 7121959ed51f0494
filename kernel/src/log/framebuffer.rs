//! The log on the screen: for a machine without a serial port, and for anyone who sits in front of one with it.
//!
//! It shows only Weir's own lines: a guest could write without end, and painting is slow. Video memory is not
//! cached, so it is never read, and only characters that differ from the ones shown are written.

use super::text::{MAX_COLUMNS, MAX_ROWS, Text};
use core::fmt::{self, Write};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use spin::Mutex;

const WEIGHT: FontWeight = FontWeight::Regular;
const SIZE: RasterHeight = RasterHeight::Size16;
const GLYPH_WIDTH: usize = get_raster_width(WEIGHT, SIZE);
const GLYPH_HEIGHT: usize = SIZE.val();
/// Height in pixels from which characters are painted twice as large.
const FINE: usize = 1440;

/// Layout of pixels in video memory.
#[derive(Clone, Copy)]
pub struct FramebufferLayout {
    /// Pixels in a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// Bytes from one line to the next.
    pub line_bytes: usize,
    /// Bytes of a pixel.
    pub pixel_bytes: usize,
}

/// Video memory. Text is white to black in all pixel formats: each byte of a pixel is the intensity.
struct Pixels {
    memory: &'static mut [u8],
    layout: FramebufferLayout,
    /// Pixels of the screen per pixel of the font, in each direction.
    scale: usize,
}

impl Pixels {
    fn paint(&mut self, row: usize, column: usize, character: u8) {
        let Some(glyph) = get_raster(character.into(), WEIGHT, SIZE) else { return };
        let FramebufferLayout { line_bytes, pixel_bytes, .. } = self.layout;
        let left = column * GLYPH_WIDTH * self.scale * pixel_bytes;
        let bytes = GLYPH_WIDTH * self.scale * pixel_bytes;
        let lines = glyph.raster().iter().flat_map(|line| core::iter::repeat_n(line, self.scale));
        for (index, intensities) in lines.enumerate() {
            let start = (row * GLYPH_HEIGHT * self.scale + index) * line_bytes + left;
            let Some(line) = self.memory.get_mut(start..start + bytes) else { return };
            let wide = intensities.iter().flat_map(|intensity| core::iter::repeat_n(*intensity, self.scale));
            for (pixel, intensity) in line.chunks_exact_mut(pixel_bytes).zip(wide) {
                // Four bytes at a time if pixels have four: each store is a bus transaction.
                match <&mut [u8; 4]>::try_from(&mut *pixel) {
                    Ok(pixel) => *pixel = [intensity; 4],
                    Err(_) => pixel.fill(intensity),
                }
            }
        }
    }
}

struct Screen {
    text: Text,
    /// The characters in video memory.
    shown: [[u8; MAX_COLUMNS]; MAX_ROWS],
    /// Number of rows from `next` on that may differ from `shown`.
    stale: usize,
    next: usize,
    pixels: Option<Pixels>,
}

static SCREEN: Mutex<Screen> = Mutex::new(Screen {
    text: Text::new(),
    shown: [[b' '; MAX_COLUMNS]; MAX_ROWS],
    stale: 0,
    next: 0,
    pixels: None,
});

impl Screen {
    /// Updates one row; false when none was left.
    fn paint_row(&mut self) -> bool {
        let Some(pixels) = self.pixels.as_mut().filter(|_| self.stale > 0) else { return false };
        let row = self.next;
        for (column, &character) in self.text.row(row).iter().enumerate() {
            let shown = &mut self.shown[row][column];
            if *shown != character {
                *shown = character;
                pixels.paint(row, column, character);
            }
        }
        self.next = (row + 1) % self.text.rows();
        self.stale -= 1;
        true
    }
}

/// Clears the screen and uses it for the log.
pub fn init(memory: &'static mut [u8], layout: FramebufferLayout) {
    if layout.pixel_bytes == 0 || layout.line_bytes == 0 {
        return;
    }
    for word in memory.chunks_exact_mut(8) {
        word.copy_from_slice(&[0; 8]);
    }
    let scale = if layout.height >= FINE { 2 } else { 1 };
    let mut screen = SCREEN.lock();
    screen.text.resize(layout.width / (GLYPH_WIDTH * scale), layout.height / (GLYPH_HEIGHT * scale));
    screen.pixels = (screen.text.rows() > 0).then_some(Pixels { memory, layout, scale });
}

/// Adds one log line.
pub fn log_line(write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
    let mut screen = SCREEN.lock();
    // As in `output::log_line`.
    let _ = write(&mut screen.text);
    let _ = screen.text.write_str("\n");
    screen.stale = screen.text.rows();
}

/// Paints one row if any may have changed, a bounded amount of work.
pub fn pump() {
    SCREEN.lock().paint_row();
}

/// True while rows wait to be painted.
pub fn waiting() -> bool {
    SCREEN.lock().stale > 0
}

/// Paints all rows that may have changed.
pub fn flush() {
    let mut screen = SCREEN.lock();
    while screen.paint_row() {}
}

/// Releases the lock, which a panicking context may hold.
///
/// # Safety
/// Only for the panic path, when no other code runs any more.
pub unsafe fn break_lock() {
    // SAFETY: the caller's contract.
    unsafe { SCREEN.force_unlock() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: FramebufferLayout =
        FramebufferLayout { width: 64, height: 48, line_bytes: 70 * 4, pixel_bytes: 4 };

    /// Paints one character, and returns which bytes are not black.
    fn lit(layout: FramebufferLayout, scale: usize, bytes: usize, row: usize, column: usize) -> Vec<usize> {
        let memory = Box::leak(vec![0; bytes].into_boxed_slice());
        let mut pixels = Pixels { memory, layout, scale };
        pixels.paint(row, column, b'#');
        (0..bytes).filter(|&at| pixels.memory[at] != 0).collect()
    }

    #[test]
    fn a_character_stays_in_its_cell() {
        let lit = lit(LAYOUT, 1, 48 * LAYOUT.line_bytes, 1, 2);
        assert!(lit.len() > 40);
        for at in lit {
            let (line, pixel) = (at / LAYOUT.line_bytes, at % LAYOUT.line_bytes / 4);
            assert!((GLYPH_HEIGHT..2 * GLYPH_HEIGHT).contains(&line), "{line}");
            assert!((2 * GLYPH_WIDTH..3 * GLYPH_WIDTH).contains(&pixel), "{pixel}");
        }
    }

    #[test]
    fn a_fine_screen_has_characters_twice_as_large() {
        let size = 48 * LAYOUT.line_bytes;
        assert_eq!(4 * lit(LAYOUT, 1, size, 0, 0).len(), lit(LAYOUT, 2, size, 0, 0).len());
    }

    #[test]
    fn pixels_of_three_bytes_are_painted_too() {
        let layout = FramebufferLayout { line_bytes: 64 * 3, pixel_bytes: 3, ..LAYOUT };
        let four = lit(LAYOUT, 1, 48 * LAYOUT.line_bytes, 0, 1).len();
        assert_eq!(lit(layout, 1, 48 * layout.line_bytes, 0, 1).len() * 4, four * 3);
    }

    #[test]
    fn nothing_is_painted_beyond_video_memory() {
        // The loader may report a layout that is larger than its memory.
        lit(LAYOUT, 1, 10 * LAYOUT.line_bytes, 0, 0);
        lit(LAYOUT, 1, 10 * LAYOUT.line_bytes, 5, 0);
    }
}
