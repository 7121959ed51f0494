//! Which mode the local APICs run in.
//!
//! x2APIC mode has no page of registers. Firmware whose handlers of system-management interrupts use that page asks
//! not to switch it on: by the flag X2APIC_OPT_OUT of DMAR [VT-d 4.1 8.1], or by not having done so itself. Processors
//! with ids of 255 and above can only be reached in x2APIC mode [SDM3A 11.12.9].

use core::fmt;

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApicFacts {
    /// The processor has x2APIC mode.
    pub has_x2apic: bool,
    /// Firmware left the boot core's local APIC in x2APIC mode.
    pub firmware_x2apic: bool,
    /// The largest local APIC id of an enabled processor.
    pub largest_id: u32,
    /// A hypervisor runs this machine: it has no such handlers, and x2APIC mode costs it less.
    pub hypervisor: bool,
    /// Firmware asks not to use x2APIC mode.
    pub opt_out: bool,
}

/// A mode, and why it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApicMode {
    /// xAPIC mode: the processor has no other.
    Xapic,
    /// xAPIC mode, as firmware left it.
    KeptXapic,
    /// xAPIC mode, since firmware asks for it.
    AskedXapic,
    /// x2APIC mode, as firmware left it.
    KeptX2apic,
    /// x2APIC mode, which suits a hypervisor.
    HypervisorX2apic,
    /// x2APIC mode, which the ids of processors need.
    NeededX2apic,
}

impl ApicMode {
    /// Chooses the mode.
    #[must_use]
    pub fn choose(facts: ApicFacts) -> Self {
        match facts {
            // Leaving x2APIC mode would mean disabling the local APIC first.
            ApicFacts { firmware_x2apic: true, .. } => Self::KeptX2apic,
            ApicFacts { has_x2apic: false, .. } => Self::Xapic,
            ApicFacts { largest_id: 255.., .. } => Self::NeededX2apic,
            ApicFacts { opt_out: true, .. } => Self::AskedXapic,
            ApicFacts { hypervisor: true, .. } => Self::HypervisorX2apic,
            _ => Self::KeptXapic,
        }
    }

    /// Whether it is x2APIC mode.
    #[must_use]
    pub fn is_x2apic(self) -> bool {
        !matches!(self, Self::Xapic | Self::KeptXapic | Self::AskedXapic)
    }
}

impl fmt::Display for ApicMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xapic => "xAPIC mode",
            Self::KeptXapic => "xAPIC mode, as firmware left it",
            Self::AskedXapic => "xAPIC mode, since firmware asks not to use x2APIC (DMAR)",
            Self::KeptX2apic => "x2APIC mode, as firmware left it",
            Self::HypervisorX2apic => "x2APIC mode, under a hypervisor",
            Self::NeededX2apic => "x2APIC mode, which processor ids above 254 need",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: ApicFacts = ApicFacts {
        has_x2apic: true,
        firmware_x2apic: false,
        largest_id: 7,
        hypervisor: false,
        opt_out: false,
    };

    #[test]
    fn the_mode_that_firmware_left_is_kept_on_a_real_machine() {
        assert_eq!(ApicMode::choose(PLAIN), ApicMode::KeptXapic);
        assert_eq!(ApicMode::choose(ApicFacts { firmware_x2apic: true, ..PLAIN }), ApicMode::KeptX2apic);
    }

    #[test]
    fn firmware_that_opts_out_is_obeyed_even_under_a_hypervisor() {
        let facts = ApicFacts { opt_out: true, hypervisor: true, ..PLAIN };
        assert_eq!(ApicMode::choose(facts), ApicMode::AskedXapic);
    }

    #[test]
    fn ids_from_255_on_need_x2apic_mode() {
        let facts = ApicFacts { largest_id: 255, ..PLAIN };
        assert_eq!(ApicMode::choose(facts), ApicMode::NeededX2apic);
        let facts = ApicFacts { opt_out: true, ..facts };
        assert_eq!(ApicMode::choose(facts), ApicMode::NeededX2apic, "firmware cannot mean it");
        assert_eq!(ApicMode::choose(ApicFacts { largest_id: 254, ..PLAIN }), ApicMode::KeptXapic);
    }

    #[test]
    fn a_processor_without_x2apic_never_gets_it() {
        for (largest_id, hypervisor) in [(7, false), (300, false), (7, true), (300, true)] {
            let facts = ApicFacts { has_x2apic: false, largest_id, hypervisor, ..PLAIN };
            assert!(!ApicMode::choose(facts).is_x2apic());
        }
    }

    #[test]
    fn a_hypervisor_gets_x2apic_mode() {
        let facts = ApicFacts { hypervisor: true, ..PLAIN };
        assert_eq!(ApicMode::choose(facts), ApicMode::HypervisorX2apic);
    }
}
