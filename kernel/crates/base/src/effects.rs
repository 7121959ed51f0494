//! What an access to a device model asks its caller to do next.

bitflags::bitflags! {
    /// Device models hold no callback, lock or clock: what an access sets in motion outside the model is
    /// returned as a set of these, and the caller acts on it when it is ready.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    #[must_use]
    pub struct Effects: u32 {
        /// The model has frames to fetch from the guest's transmit ring.
        const TX_KICK = 1 << 0;
        /// The level of the model's interrupt line may have changed: look at it.
        const IRQ_CHANGED = 1 << 1;
        /// The guest gave the model receive descriptors: held frames can move on.
        const RX_SPACE = 1 << 2;
        /// The model was reset by its guest.
        const RESET = 1 << 3;
        /// The model's next deadline changed: ask for it again.
        const TIMER_CHANGED = 1 << 4;
        /// Bytes for the console are waiting.
        const CONSOLE = 1 << 5;
        /// The guest asked for power-off or reset.
        const POWER = 1 << 6;
        /// A PCI base address or decode enable changed: address look-ups must be made anew.
        const MAP_CHANGED = 1 << 7;
    }
}
