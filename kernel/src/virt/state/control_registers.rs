//! Control registers and EFER as a guest writes them: the rules are the same for both vendors and live with the rest
//! of what a guest may rely on.

pub use platform::control_registers::*;
