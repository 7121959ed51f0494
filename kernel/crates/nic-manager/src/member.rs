//! Members of a team, and sets of them.

use crate::MAX_MEMBERS;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The place of a member in its team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8")]
pub struct MemberId(u8);

impl TryFrom<u8> for MemberId {
    type Error = &'static str;

    fn try_from(place: u8) -> Result<Self, Self::Error> {
        Self::new(place.into()).ok_or("no team has so many members")
    }
}

impl MemberId {
    /// The member in this place, or `None` when that is not below [`MAX_MEMBERS`].
    #[must_use]
    pub fn new(place: usize) -> Option<Self> {
        u8::try_from(place).ok().filter(|_| place < MAX_MEMBERS).map(Self)
    }

    /// The place, below [`MAX_MEMBERS`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {}", self.0)
    }
}

/// A set of members, one bit for each.
///
/// ```
/// use nic_manager::{MemberId, MemberSet};
///
/// let [first, third] = [0, 2].map(|place| MemberId::new(place).unwrap());
/// let set = MemberSet::EMPTY.with(third).with(first);
/// assert!(set.contains(third) && set.iter().eq([first, third]));
/// assert_eq!(set.without(first).len(), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct MemberSet(u8);

const _: () = assert!(MAX_MEMBERS == u8::BITS as usize);

impl MemberSet {
    /// No member.
    pub const EMPTY: Self = Self(0);

    /// This set plus a member.
    #[must_use]
    pub fn with(self, member: MemberId) -> Self {
        Self(self.0 | 1 << member.0)
    }

    /// This set without a member.
    #[must_use]
    pub fn without(self, member: MemberId) -> Self {
        Self(self.0 & !(1 << member.0))
    }

    /// The members in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members in this set and not in the other.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True when a member is in the set.
    #[must_use]
    pub fn contains(self, member: MemberId) -> bool {
        self.0 & 1 << member.0 != 0
    }

    /// True when no member is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Number of members in the set.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The members in the set, in the order of their places.
    pub fn iter(self) -> impl Iterator<Item = MemberId> {
        (0..MAX_MEMBERS).filter_map(MemberId::new).filter(move |member| self.contains(*member))
    }
}

impl FromIterator<MemberId> for MemberSet {
    fn from_iter<T: IntoIterator<Item = MemberId>>(members: T) -> Self {
        members.into_iter().fold(Self::EMPTY, Self::with)
    }
}
