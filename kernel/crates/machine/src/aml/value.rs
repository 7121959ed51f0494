//! Values, as tables write them: constants, buffers, packages and names [ACPI 6.5 20.2.3, 20.2.5.4].
//!
//! A value takes no memory but its place: text and buffers stay in the table, and a package is read element by element
//! when somebody asks for them. So no table can make the heap run out, nor nest values in values.

use super::namespace::{Namespace, NodeId};
use super::stream::{begins_name, integer, name, package, string};

/// A value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum AmlValue<'a> {
    #[default]
    Nothing,
    Integer(u64),
    /// A string, or the bytes that a buffer is written with: zeros behind them are left out.
    Bytes(&'a [u8]),
    Package(PackageCode<'a>),
    /// What a name refers to.
    Reference(NodeId),
}

/// A package as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackageCode<'a> {
    /// Where its names are looked for.
    scope: NodeId,
    count: u8,
    code: &'a [u8],
}

impl<'a> PackageCode<'a> {
    /// The elements that are written, up to the first that is none. Names are references, and those that mean nothing are
    /// empty.
    pub(super) fn elements(self, names: &Namespace<'a>) -> impl Iterator<Item = AmlValue<'a>> {
        let mut rest = self.code;
        let next = move || {
            let (value, after) = data(names, self.scope, rest)?;
            rest = after;
            Some(value)
        };
        core::iter::from_fn(next).take(self.count.into())
    }
}

/// Takes a value that is written in `scope`. The size of a buffer must be a constant.
pub(super) fn data<'a>(
    names: &Namespace<'a>,
    scope: NodeId,
    code: &'a [u8],
) -> Option<(AmlValue<'a>, &'a [u8])> {
    names.bounds.spend(1)?;
    if let Some((value, rest)) = integer(code) {
        return Some((AmlValue::Integer(value), rest));
    }
    let (&opcode, rest) = code.split_first()?;
    match opcode {
        opcode if begins_name(opcode) => {
            let (written, rest) = name(code, &names.bounds)?;
            let found = names.find(scope, written);
            Some((found.map_or(AmlValue::Nothing, AmlValue::Reference), rest))
        }
        0x0d => {
            let (text, rest) = string(rest, &names.bounds)?;
            Some((AmlValue::Bytes(text), rest))
        }
        0x11 => {
            let (inside, after) = package(rest)?;
            let Some((size, bytes)) = integer(inside) else { return Some((AmlValue::Nothing, after)) };
            let written = usize::try_from(size).map_or(bytes.len(), |size| size.min(bytes.len()));
            names.bounds.spend_bytes(written)?;
            Some((AmlValue::Bytes(&bytes[..written]), after))
        }
        0x12 => {
            let (inside, after) = package(rest)?;
            let (&count, code) = inside.split_first()?;
            Some((AmlValue::Package(PackageCode { scope, count, code }), after))
        }
        _ => None,
    }
}
