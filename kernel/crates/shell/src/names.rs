//! What the operator can name.

use nic_manager::{FrameDestination, TeamPolicy};

/// The names of VMs, teams and physical NICs, each in the order of their numbers. A NIC that is in no team of the
/// configuration is a team of the same name.
#[derive(Debug)]
pub struct Names<'a, N> {
    /// The VMs.
    pub vms: &'a [N],
    /// The teams.
    pub teams: &'a [N],
    /// The physical NICs.
    pub nics: &'a [N],
}

impl<N> Clone for Names<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Names<'_, N> {}

/// What a line names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedThings {
    pub vm: usize,
    pub team: usize,
    pub nic: usize,
    pub policy: TeamPolicy,
    pub destination: Option<FrameDestination>,
}

impl NamedThings {
    /// Those of a line that names nothing: a command has only those that its form names.
    pub const NONE: Self = Self { vm: 0, team: 0, nic: 0, policy: TeamPolicy::Order, destination: None };
}

/// The address in a word, if it is one.
pub(crate) fn destination(word: &str) -> Option<FrameDestination> {
    let mac = word.parse().ok().map(FrameDestination::Mac);
    mac.or_else(|| word.parse().ok().map(FrameDestination::Ip))
}
