//! Text on a screen: a page of rows and columns, and a painter that writes its characters into video memory.
//!
//! The two are apart, since writing text is quick and painting is not: whoever writes need not wait for the painter.
#![no_std]
#![forbid(unsafe_code)]

mod painter;
mod text;

pub use painter::{FramebufferLayout, Painter};
pub use text::{MAX_COLUMNS, MAX_ROWS, ScreenText, TextRow};
