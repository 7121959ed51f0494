//! What the guest is told of the checksums in arriving frames, as far as it asks for it [8254x 3.2.9, 13.4.47].
//!
//! The vNIC verifies none itself, which would cost a pass over each frame: the NIC that received the frame did, or the guest
//! does it.

use crate::ethernet::word;
use base::{Checksums, Verdict};
use intel_regs::Rxcsum;
use intel_regs::desc::{RxErrors, RxStatus};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// `STATUS` and `ERRORS` of the descriptor of a frame of which this is known, and whose type field, after any tag, is at
/// `type_offset`. If nothing is known that the guest wants to know, they tell it to ignore the indication.
pub(crate) fn indication(
    checksums: Checksums,
    head: &[u8],
    type_offset: usize,
    control: Rxcsum,
) -> (RxStatus, RxErrors) {
    let (mut status, mut errors) = (RxStatus::empty(), RxErrors::empty());
    if let Checksums::Verified { ip, transport } = checksums {
        let wants_transport = match word(head, type_offset) {
            Some(ETHERTYPE_IPV4) => control.contains(Rxcsum::TUOFL),
            Some(ETHERTYPE_IPV6) => control.contains(Rxcsum::TUOFL | Rxcsum::IPV6OFL),
            // The 82540EM looks behind one tag.
            _ => false,
        };
        if control.contains(Rxcsum::IPOFL) && ip != Verdict::Unknown {
            status |= RxStatus::IPCS;
            errors.set(RxErrors::IPE, ip == Verdict::Bad);
        }
        if wants_transport && transport != Verdict::Unknown {
            status |= RxStatus::TCPCS;
            errors.set(RxErrors::TCPE, transport == Verdict::Bad);
        }
    }
    if status.is_empty() { (RxStatus::IXSM, errors) } else { (status, errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPV4: [u8; 2] = [0x08, 0x00];
    const IPV6: [u8; 2] = [0x86, 0xdd];

    fn told(ip: Verdict, transport: Verdict, control: Rxcsum) -> (RxStatus, RxErrors) {
        indication(Checksums::Verified { ip, transport }, &IPV4, 0, control)
    }

    #[test]
    fn each_bit_of_rxcsum_asks_for_one_verdict() {
        use Verdict::{Bad, Good};
        let (ip, transport) = (Rxcsum::IPOFL, Rxcsum::TUOFL);
        let nothing = (RxStatus::IXSM, RxErrors::empty());
        assert_eq!(told(Bad, Bad, Rxcsum::empty()), nothing);
        assert_eq!(told(Bad, Bad, ip), (RxStatus::IPCS, RxErrors::IPE));
        assert_eq!(told(Bad, Bad, transport), (RxStatus::TCPCS, RxErrors::TCPE));
        let both = RxStatus::IPCS | RxStatus::TCPCS;
        assert_eq!(told(Bad, Bad, ip | transport), (both, RxErrors::IPE | RxErrors::TCPE));
        assert_eq!(told(Good, Bad, ip | transport), (both, RxErrors::TCPE));
        assert_eq!(told(Good, Good, ip | transport), (both, RxErrors::empty()));
    }

    #[test]
    fn the_guest_ignores_what_is_not_known() {
        use Verdict::{Bad, Good, Unknown};
        let all = Rxcsum::all();
        let nothing = (RxStatus::IXSM, RxErrors::empty());
        assert_eq!(told(Unknown, Unknown, all), nothing);
        assert_eq!(told(Unknown, Good, Rxcsum::IPOFL), nothing);
        assert_eq!(told(Good, Unknown, all), (RxStatus::IPCS, RxErrors::empty()));
        assert_eq!(told(Unknown, Bad, all), (RxStatus::TCPCS, RxErrors::TCPE));
        assert_eq!(indication(Checksums::Unknown, &IPV4, 0, all), nothing);
    }

    #[test]
    fn verdicts_on_ipv6_are_for_guests_that_ask_for_them() {
        let good = Checksums::Verified { ip: Verdict::Unknown, transport: Verdict::Good };
        let asked = |control| indication(good, &IPV6, 0, control).0;
        assert_eq!(asked(Rxcsum::TUOFL), RxStatus::IXSM);
        assert_eq!(asked(Rxcsum::IPV6OFL), RxStatus::IXSM);
        assert_eq!(asked(Rxcsum::TUOFL | Rxcsum::IPV6OFL), RxStatus::TCPCS);
        assert_eq!(indication(good, &[0x81, 0x00], 0, Rxcsum::all()).0, RxStatus::IXSM, "a second tag");
    }
}
