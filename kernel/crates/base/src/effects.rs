//! What a device model asks its caller to do after an access.

bitflags::bitflags! {
    /// What an access to a device model causes outside of the model.
    ///
    /// Device models hold no callback, lock or clock. They return a set of effects instead, and the caller acts
    /// on it when it is ready.
    ///
    /// ```
    /// use base::Effects;
    ///
    /// /// A device that interrupts as long as its one register is not zero.
    /// struct Device(u32);
    ///
    /// impl Device {
    ///     fn write(&mut self, value: u32) -> Effects {
    ///         let before = core::mem::replace(&mut self.0, value);
    ///         if (before == 0) == (value == 0) { Effects::empty() } else { Effects::IRQ_CHANGED }
    ///     }
    /// }
    ///
    /// let mut device = Device(0);
    /// let effects = device.write(1) | device.write(2);
    /// assert_eq!(effects, Effects::IRQ_CHANGED);
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    #[must_use]
    pub struct Effects: u32 {
        /// The model has frames to fetch from the guest's transmit ring.
        const TX_KICK = 1 << 0;
        /// The level of the model's interrupt line may have changed and must be read again.
        const IRQ_CHANGED = 1 << 1;
        /// The guest supplied free receive descriptors and frames wait for them: these can be delivered.
        const RX_SPACE = 1 << 2;
        /// The guest reset the model.
        const RESET = 1 << 3;
        /// The model's next deadline changed and must be read again.
        const TIMER_CHANGED = 1 << 4;
        /// The model has output for the console.
        const CONSOLE = 1 << 5;
        /// The guest requested power-off or reset.
        const POWER = 1 << 6;
        /// A PCI base address or a decode-enable bit changed: the address map must be rebuilt.
        const MAP_CHANGED = 1 << 7;
        /// Memory of the guest's is still read for frames that it has sent and that mean nothing to it any more: it must
        /// not go on before they have arrived.
        const FRAMES_LEFT = 1 << 8;
    }
}
