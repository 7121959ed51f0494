//! What the operator may want to know of a guest.

use super::{Vm, directory};
use crate::virt::VirtualCpu;
use core::fmt;

impl<V: VirtualCpu> Vm<V> {
    /// Everything counted, a line at a time.
    pub fn for_each_figure(&self, mut say: impl FnMut(fmt::Arguments)) {
        say(format_args!("exits {}", self.exits));
        say(format_args!(
            "interrupts injected {}, accesses to nothing {}, TSC ticks per exit in Weir {}",
            self.injected,
            self.unmapped,
            self.ticks_outside / self.exits.total().max(1)
        ));
        say(format_args!(
            "console: bytes lost before they were shown {}, typed bytes lost {}",
            self.console.lost(),
            self.console.typed_lost() + directory::typed_lost(self.number)
        ));
    }
}
