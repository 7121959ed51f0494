//! Painting characters into video memory.
//!
//! Video memory is not cached, so it is never read, and only characters that differ from the ones shown are written.

use crate::text::{MAX_COLUMNS, MAX_ROWS, TextRow};
use core::iter::repeat_n;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

const WEIGHT: FontWeight = FontWeight::Regular;
const SIZE: RasterHeight = RasterHeight::Size16;
const GLYPH_WIDTH: usize = get_raster_width(WEIGHT, SIZE);
const GLYPH_HEIGHT: usize = SIZE.val();
/// Bytes of the largest pixel.
const LARGEST_PIXEL: usize = 4;
/// Bytes of the widest line of a character.
const WIDEST: usize = GLYPH_WIDTH * 2 * LARGEST_PIXEL;
/// Height in pixels from which characters are painted twice as large.
const FINE: usize = 1440;

/// Layout of pixels in video memory.
#[derive(Clone, Copy, Debug)]
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

/// Video memory and the characters in it. Text is white on black in all pixel formats: each byte of a pixel is the
/// intensity.
#[derive(Debug)]
pub struct Painter {
    memory: &'static mut [u8],
    layout: FramebufferLayout,
    /// Pixels of the screen per pixel of the font, in each direction.
    scale: usize,
    shown: [[u8; MAX_COLUMNS]; MAX_ROWS],
}

impl Painter {
    /// Clears the screen. `None` if its layout has no room for a character, or its pixels have more than four bytes.
    #[must_use]
    pub fn new(memory: &'static mut [u8], layout: FramebufferLayout) -> Option<Self> {
        let scale = if layout.height >= FINE { 2 } else { 1 };
        let painter = Self { memory, layout, scale, shown: [[b' '; MAX_COLUMNS]; MAX_ROWS] };
        let fits = (1..=LARGEST_PIXEL).contains(&layout.pixel_bytes) && layout.line_bytes > 0;
        if !fits || painter.columns() == 0 || painter.rows() == 0 {
            return None;
        }
        for word in painter.memory.chunks_exact_mut(8) {
            word.copy_from_slice(&[0; 8]);
        }
        Some(painter)
    }

    /// The number of characters in a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.layout.width / (GLYPH_WIDTH * self.scale)
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.layout.height / (GLYPH_HEIGHT * self.scale)
    }

    /// Paints the characters of a row that differ from those shown, as long as `goes_on` says so: it is asked after
    /// each character. False if it has said no: what is left of the row is painted by another call.
    pub fn paint_row(&mut self, text: &TextRow, mut goes_on: impl FnMut() -> bool) -> bool {
        for (column, &character) in text.characters().iter().enumerate() {
            let Some(shown) = self.shown.get_mut(text.row).map(|row| &mut row[column]) else { return true };
            if *shown != character {
                *shown = character;
                self.paint(text.row, column, character);
                if !goes_on() {
                    return false;
                }
            }
        }
        true
    }

    fn paint(&mut self, row: usize, column: usize, character: u8) {
        let Some(glyph) = get_raster(character.into(), WEIGHT, SIZE) else { return };
        let FramebufferLayout { line_bytes, pixel_bytes, .. } = self.layout;
        let left = column * GLYPH_WIDTH * self.scale * pixel_bytes;
        for (line, intensities) in glyph.raster().iter().enumerate() {
            // A line is put together here and copied by words: in video memory each store may be a bus transaction.
            let mut pixels = [0; WIDEST + LARGEST_PIXEL];
            let mut bytes = 0;
            for intensity in intensities.iter().flat_map(|intensity| repeat_n(*intensity, self.scale)) {
                // The next pixel, or the rest of the array, has what is too much.
                let Some(pixel) = pixels.get_mut(bytes..bytes + LARGEST_PIXEL) else { return };
                pixel.copy_from_slice(&[intensity; LARGEST_PIXEL]);
                bytes += pixel_bytes;
            }
            for copy in 0..self.scale {
                let start = ((row * GLYPH_HEIGHT + line) * self.scale + copy) * line_bytes + left;
                let Some(shown) = self.memory.get_mut(start..start + bytes) else { return };
                shown.copy_from_slice(&pixels[..bytes]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::ScreenText;
    use std::boxed::Box;
    use std::vec;
    use std::vec::Vec;

    const LAYOUT: FramebufferLayout =
        FramebufferLayout { width: 64, height: 48, line_bytes: 70 * 4, pixel_bytes: 4 };

    /// Paints one character, and returns which bytes are not black.
    fn lit(layout: FramebufferLayout, scale: usize, bytes: usize, row: usize, column: usize) -> Vec<usize> {
        let memory = Box::leak(vec![0; bytes].into_boxed_slice());
        let mut pixels = Painter { memory, layout, scale, shown: [[b' '; MAX_COLUMNS]; MAX_ROWS] };
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
    fn the_picture_is_the_same_whatever_the_size_of_a_pixel() {
        // Which pixels of the font are lit, where each is `scale` wide and high and all its bytes are alike.
        let picture = |scale: usize, pixel_bytes: usize| -> Vec<(usize, usize)> {
            let layout = FramebufferLayout { line_bytes: 64 * pixel_bytes, pixel_bytes, ..LAYOUT };
            let lit = lit(layout, scale, 48 * layout.line_bytes, 0, 1);
            let size = scale * pixel_bytes;
            let mut places: Vec<_> = lit
                .iter()
                .map(|at| (at / layout.line_bytes / scale, at % layout.line_bytes / size))
                .collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(lit.len(), places.len() * scale * size);
            places
        };
        for (scale, pixel_bytes) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (2, 4)] {
            assert_eq!(picture(scale, pixel_bytes), picture(1, 4), "{scale} {pixel_bytes}");
        }
    }

    #[test]
    fn only_changed_characters_are_painted() {
        let memory = Box::leak(vec![0; 48 * LAYOUT.line_bytes].into_boxed_slice());
        let mut painter = Painter::new(memory, LAYOUT).unwrap();
        let mut page = ScreenText::new();
        page.resize(painter.columns(), painter.rows());
        page.write_line(|out| out.write_str("#"));
        painter.paint_row(&page.take_stale().unwrap(), || true);
        assert!(painter.memory.iter().any(|byte| *byte != 0));
        painter.memory.fill(0);
        page.write_line(|_| Ok(()));
        while page.take_stale().is_some_and(|row| painter.paint_row(&row, || true)) {}
        assert!(painter.memory.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_row_is_painted_in_pieces() {
        let memory = Box::leak(vec![0; 48 * LAYOUT.line_bytes].into_boxed_slice());
        let mut painter = Painter::new(memory, LAYOUT).unwrap();
        let mut page = ScreenText::new();
        page.resize(painter.columns(), painter.rows());
        page.write_line(|out| out.write_str("####"));
        let row = page.take_stale().unwrap();
        // Two characters, one, the last: one character at least, and what is there already is not painted again.
        let mut left = 2;
        assert!(!painter.paint_row(&row, || {
            left -= 1;
            left > 0
        }));
        assert!(!painter.paint_row(&row, || false));
        let before = painter.memory.iter().filter(|byte| **byte != 0).count();
        assert!(!painter.paint_row(&row, || false));
        assert_eq!(painter.memory.iter().filter(|byte| **byte != 0).count() * 3, before * 4);
        assert!(painter.paint_row(&row, || false));
        // The next row taken is the same one, with what it has then.
        page.put_back(&row);
        assert_eq!(page.take_stale().map(|row| row.row), Some(0));
    }

    #[test]
    fn a_layout_without_room_is_refused() {
        for layout in [
            FramebufferLayout { pixel_bytes: 0, ..LAYOUT },
            FramebufferLayout { line_bytes: 0, ..LAYOUT },
            FramebufferLayout { width: 3, ..LAYOUT },
        ] {
            assert!(Painter::new(Box::leak(vec![0; 64].into_boxed_slice()), layout).is_none());
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
