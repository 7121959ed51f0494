//! Scheduling decisions: on which core a guest runs, when it runs, and whether it is restarted.
//!
//! * [`placement`]: the core that each guest runs on.
//! * [`RunQueue`]: which guest of a core runs next, and for how long, in proportion to shares.
//! * [`GuestTurn`]: how long a guest keeps its core when others wake.
//! * [`Precedence`]: which core comes next at a lock that none waits for.
//! * [`Alarm`] and [`Quiet`]: when one core interrupts another.
//! * [`Mailbox`]: how one core leaves a request for another.
//! * [`restart`]: whether and when a guest that has ended is started again.
//! * [`usage`]: where the cores' time went, and [`ExitStatistics`]: what a guest's exits cost.
//!
//! Nothing here touches a processor, nothing allocates, and time is a parameter.
#![no_std]
#![forbid(unsafe_code)]

mod exits;
mod mailbox;
pub mod placement;
mod precedence;
pub mod restart;
mod run_queue;
mod turn;
pub mod usage;
mod wake;

pub use exits::ExitStatistics;
pub use mailbox::Mailbox;
pub use precedence::Precedence;
pub use run_queue::{CREDIT, MAX_GUESTS, QueueFull, RunQueue, SLICE, STANDARD_SHARES};
pub use turn::{GuestTurn, UNDISTURBED};
pub use wake::{Alarm, PAUSE, Quiet};
