//! Whether the NIC accepts a frame: its mode, its filters, the frame's length [8254x 3.2.1, 13.4.22].

use crate::controller::Controller;
use crate::ethernet::{ADDRESSES, FCS, HEADER, MAC_CONTROL, PAUSE, TAG, word};
use crate::filter::{self, AddressMatch};
use base::{LentFrame, MacAddress};
use intel_regs::{Rctl, receive, reg, stats};

/// The origin of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameOrigin {
    /// The wire.
    Wire,
    /// The NIC's own transmitter.
    Loopback,
}

/// Why an arriving frame is dropped.
pub(crate) enum ReceiveDrop {
    Disabled,
    LinkDown,
    InLoopback,
    Stopped,
    Runt,
    Filtered,
    FlowControl,
    Oversized,
}

/// The longest frame, without frame check sequence, that the guest's settings allow [8254x 13.4.22].
pub(crate) fn longest(control: Rctl) -> usize {
    let with_fcs = if control.contains(Rctl::LPE) { receive::MAX_LONG_FRAME } else { receive::MAX_FRAME };
    with_fcs - FCS
}

/// Decides whether the NIC accepts a frame.
pub(crate) fn admit(
    controller: &Controller,
    frame: LentFrame<'_>,
    origin: FrameOrigin,
) -> Result<AddressMatch, ReceiveDrop> {
    let (control, head) = (controller.receive_control(), frame.head);
    if origin == FrameOrigin::Wire && controller.loopback() {
        return Err(ReceiveDrop::InLoopback);
    }
    if !control.contains(Rctl::EN) {
        return Err(ReceiveDrop::Disabled);
    }
    if origin == FrameOrigin::Wire && !controller.link_up() {
        return Err(ReceiveDrop::LinkDown);
    }
    if controller.receive_stopped {
        return Err(ReceiveDrop::Stopped);
    }
    let (Some(destination), Some(source), Some(ethertype)) =
        (MacAddress::destination_of(head), MacAddress::source_of(head), word(head, ADDRESSES))
    else {
        return Err(ReceiveDrop::Runt);
    };
    let matched = filter::address(&controller.registers, control, destination, source);
    if matched == AddressMatch::None {
        return Err(ReceiveDrop::Filtered);
    }
    if tag_of(controller, head).is_some_and(|tag| !filter::vlan(&controller.registers, control, tag)) {
        return Err(ReceiveDrop::Filtered);
    }
    if ethertype == MAC_CONTROL {
        let pause = word(head, HEADER) == Some(PAUSE);
        if pause && control.contains(Rctl::DPF) || !pause && !control.contains(Rctl::PMCF) {
            return Err(ReceiveDrop::FlowControl);
        }
    }
    if frame.length > longest(control) {
        return Err(ReceiveDrop::Oversized);
    }
    Ok(matched)
}

/// True if what follows this header, but its length, does not matter for [`admit`]: it is neither tagged nor MAC control.
pub(crate) fn header_decides(controller: &Controller, header: &[u8; HEADER]) -> bool {
    let ethertype = word(header, ADDRESSES);
    ethertype != Some(MAC_CONTROL) && ethertype.map(u32::from) != Some(controller.registers.get(reg::VET))
}

/// Counts a frame that is not accepted.
pub(crate) fn count_drop(controller: &mut Controller, frame: LentFrame<'_>, reason: ReceiveDrop) {
    let counters = &mut controller.counters;
    match reason {
        ReceiveDrop::Disabled => counters.receive_disabled += 1,
        ReceiveDrop::LinkDown => counters.receive_link_down += 1,
        ReceiveDrop::InLoopback => counters.receive_in_loopback += 1,
        ReceiveDrop::Stopped => counters.receive_ring_stopped += 1,
        ReceiveDrop::Filtered => counters.receive_filtered += 1,
        ReceiveDrop::Runt => {
            counters.receive_runt += 1;
            controller.registers.count(stats::RUC, 1);
        }
        ReceiveDrop::FlowControl => {
            counters.receive_flow_control += 1;
            controller.registers.count(stats::FCRUC, 1);
        }
        ReceiveDrop::Oversized => {
            counters.receive_oversized += 1;
            controller.registers.count_oversized(frame.length + FCS);
        }
    }
}

/// The tag control information of a frame whose EtherType is `VET`.
pub(crate) fn tag_of(controller: &Controller, head: &[u8]) -> Option<u16> {
    let tagged = word(head, ADDRESSES).map(u32::from) == Some(controller.registers.get(reg::VET));
    // A tag must be followed by an EtherType.
    if tagged && head.len() >= HEADER + TAG { word(head, HEADER) } else { None }
}
