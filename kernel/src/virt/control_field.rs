//! Fields of a vendor's control structure, each with its type and its access: a field that only the processor writes
//! cannot be written.

use super::intercept_maps::Exceptions;
use super::state::control_registers::{Cr0Flags, Cr4Flags, EferFlags, RFlags};
use core::marker::PhantomData;

/// Exit information: written by the processor only.
pub struct ReadOnly;
/// Controls and state.
pub struct ReadWrite;

/// A field that holds a `T`, by its encoding (VMCS) or offset (VMCB).
pub struct ControlField<T, A>(pub u32, PhantomData<(T, A)>);

impl<T, A> ControlField<T, A> {
    /// The field at this encoding or offset.
    pub const fn at(place: u32) -> Self {
        Self(place, PhantomData)
    }
}

impl<T, A> Clone for ControlField<T, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, A> Copy for ControlField<T, A> {}

/// Declares the fields of a control structure, which this source lists, by type and access.
macro_rules! fields {
    ($source:literal; $($type:ty, $access:ident: { $($name:ident = $place:literal,)* })*) => {
        $($(
            #[doc = concat!("At ", stringify!($place), " [", $source, "].")]
            pub const $name: ControlField<$type, $access> = ControlField::at($place);
        )*)*
    };
}

/// A type that a field can hold.
pub trait Value: Copy {
    /// The integer of the field's width.
    type Raw: Copy + Into<u64>;
    /// The integer to write.
    fn raw(self) -> Self::Raw;
    /// From the integer that was read.
    fn from_raw(raw: Self::Raw) -> Self;
    /// From the low bits of a register.
    fn from_register(register: u64) -> Self;
}

macro_rules! integers {
    ($($type:ty),*) => {
        $(impl Value for $type {
            type Raw = Self;

            fn raw(self) -> Self {
                self
            }

            fn from_raw(raw: Self) -> Self {
                raw
            }

            #[allow(clippy::cast_possible_truncation, reason = "bits above the field's width are not part of it")]
            fn from_register(register: u64) -> Self {
                register as Self
            }
        })*
    };
}

/// Makes sets of flags values of fields. Bits without a name are kept.
macro_rules! flags {
    ($($type:ty),*) => {
        $(impl $crate::virt::control_field::Value for $type {
            type Raw = <Self as bitflags::Flags>::Bits;

            fn raw(self) -> Self::Raw {
                self.bits()
            }

            fn from_raw(raw: Self::Raw) -> Self {
                Self::from_bits_retain(raw)
            }

            fn from_register(register: u64) -> Self {
                Self::from_bits_retain($crate::virt::control_field::Value::from_register(register))
            }
        })*
    };
}

pub(super) use {fields, flags};

integers!(u8, u16, u32, u64);
flags!(Cr0Flags, Cr4Flags, EferFlags, RFlags, Exceptions);
