//! Between an access and the device model it is for.

pub mod map;
pub mod registers32;
