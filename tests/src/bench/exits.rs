//! What an exit costs that has nothing to do with frames, with VT-x and with SVM.

use super::Figure;
use super::cost::{WIRE, each, machine};
use crate::{Backend, Outcome, VmSpec};

const BACKENDS: [(&str, Backend); 2] = [("vtx", Backend::BochsVtx), ("svm", Backend::BochsSvm)];
/// What the micro-guest `exits` knows.
const KINDS: [&str; 4] = ["register", "wrmsr", "hlt", "port"];
const TIMES: [u32; 2] = [1000, 5000];

/// A guest alone, whose NIC has nothing to do.
pub fn figures() -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for (extension, backend) in BACKENDS {
        for kind in KINDS {
            let name = format!("exit-{kind}-{extension}");
            let cost = each(backend, &name, "guest", TIMES, |times, _| {
                let guest = VmSpec::micro("guest", "exits", &format!("kind={kind} count={times}"))?;
                Ok(machine(vec![guest.nic_on(WIRE, "52:54:00:00:01:02")]))
            })?;
            figures.push(Figure::new(format!("{name}-exits"), cost.exits, "exits/operation"));
            figures.push(Figure::new(
                format!("{name}-instructions"),
                cost.instructions,
                "instructions/operation",
            ));
        }
    }
    Ok(figures)
}
