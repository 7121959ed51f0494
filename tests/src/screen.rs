//! Reads the picture on the machine's screen back as text, by comparing each cell with the glyphs of Weir's font.

use crate::{Failure, Outcome};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use std::collections::HashMap;

const WEIGHT: FontWeight = FontWeight::Regular;
const SIZE: RasterHeight = RasterHeight::Size16;
const WIDTH: usize = get_raster_width(WEIGHT, SIZE);
const HEIGHT: usize = SIZE.val();
/// Stands for a cell that is no glyph of the font.
const NO_GLYPH: char = char::REPLACEMENT_CHARACTER;

/// Reads a portable pixmap (`P6`, one byte per colour). Trailing blanks of rows and empty rows at the end are
/// omitted.
///
/// # Errors
/// It is no such picture.
pub fn read(pixmap: &[u8]) -> Outcome<Vec<String>> {
    let picture =
        Picture::parse(pixmap).ok_or_else(|| Failure::Wrong("the picture is not a pixmap".into()))?;
    let glyphs: HashMap<Vec<u8>, char> = (' '..='~')
        .filter_map(|character| Some((get_raster(character, WEIGHT, SIZE)?.raster().concat(), character)))
        .collect();
    let row = |row| {
        let cells = (0..picture.width / WIDTH).map(|column| picture.cell(row, column));
        cells.map(|cell| glyphs.get(&cell).copied().unwrap_or(NO_GLYPH)).collect::<String>()
    };
    let mut rows: Vec<String> =
        (0..picture.height / HEIGHT).map(|at| row(at).trim_end().to_owned()).collect();
    rows.truncate(rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1));
    Ok(rows)
}

struct Picture<'a> {
    width: usize,
    height: usize,
    pixels: &'a [u8],
}

impl<'a> Picture<'a> {
    fn parse(pixmap: &'a [u8]) -> Option<Self> {
        let mut rest = pixmap.strip_prefix(b"P6\n")?;
        let mut numbers = [0; 3];
        for number in &mut numbers {
            let end = rest.iter().position(u8::is_ascii_whitespace)?;
            *number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
            rest = &rest[end + 1..];
        }
        let [width, height, most] = numbers;
        (most == 255 && rest.len() == width * height * 3).then_some(Self { width, height, pixels: rest })
    }

    /// The intensities of a cell, line by line. Text has no colour: a coloured pixel gets an intensity that no
    /// glyph has.
    fn cell(&self, row: usize, column: usize) -> Vec<u8> {
        let lines = row * HEIGHT..(row + 1) * HEIGHT;
        let pixels = lines.flat_map(|line| {
            let start = (line * self.width + column * WIDTH) * 3;
            self.pixels[start..start + WIDTH * 3].chunks_exact(3)
        });
        pixels.map(|pixel| if pixel.iter().all(|part| *part == pixel[0]) { pixel[0] } else { 1 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of these rows, 10 cells wide, with some pixels beyond the last cell.
    fn picture(rows: &[&str]) -> Vec<u8> {
        let (width, height) = (10 * WIDTH + 3, rows.len() * HEIGHT + 5);
        let mut pixels = vec![0; width * height * 3];
        for (row, text) in rows.iter().enumerate() {
            for (column, character) in text.chars().enumerate() {
                let glyph = get_raster(character, WEIGHT, SIZE).unwrap();
                for (y, line) in glyph.raster().iter().enumerate() {
                    for (x, intensity) in line.iter().enumerate() {
                        let at = ((row * HEIGHT + y) * width + column * WIDTH + x) * 3;
                        pixels[at..at + 3].fill(*intensity);
                    }
                }
            }
        }
        [format!("P6\n{width} {height}\n255\n").as_bytes(), &pixels].concat()
    }

    #[test]
    fn drawn_text_is_read_back() {
        assert_eq!(read(&picture(&["[ 0.1] a", "", "wx~#", ""])).unwrap(), ["[ 0.1] a", "", "wx~#"]);
    }

    #[test]
    fn a_cell_with_a_changed_pixel_is_no_glyph() {
        let mut picture = picture(&["ab"]);
        let first = picture.len() - (10 * WIDTH + 3) * (HEIGHT + 5) * 3;
        picture[first] = 200;
        assert_eq!(read(&picture).unwrap(), ["\u{fffd}b"]);
    }

    #[test]
    fn a_truncated_pixmap_is_refused() {
        let whole = picture(&["a"]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
    }
}
