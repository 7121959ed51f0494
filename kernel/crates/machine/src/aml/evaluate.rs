//! Evaluating names and methods.

use super::bounds::{AmlLimit, MAX_CALLS, MAX_STORED, MAX_VALUE_STEPS};
use super::namespace::{Namespace, NodeId, NodeKind};
use super::stream::{begins_name, name, package};
use super::value::{AmlValue, data};

/// A method that runs: its arguments and local variables, which opcodes 60h to 6Eh name in this order.
struct Frame<'a> {
    scope: NodeId,
    variables: [AmlValue<'a>; 15],
}

/// Steps that a call costs: its variables are as much work as these.
const CALL_STEPS: usize = 16;

const FIRST_VARIABLE: u8 = 0x60;
const FIRST_ARGUMENT: usize = 8;

/// Evaluates names. Every function that returns an `Option` returns `None` for what it does not know.
pub(super) struct Evaluator<'n, 'a> {
    names: &'n Namespace<'a>,
    /// What has been stored to names.
    stored: heapless::Vec<(NodeId, AmlValue<'a>), MAX_STORED>,
    /// Where [`Bounds::steps`](super::bounds::Bounds::steps) must not come for the value that is being found.
    last_step: u32,
}

impl<'n, 'a> Evaluator<'n, 'a> {
    pub(super) fn new(names: &'n Namespace<'a>) -> Self {
        Self { names, stored: heapless::Vec::new(), last_step: 0 }
    }

    /// The value of a name, or what a method returns.
    pub(super) fn value(&mut self, id: NodeId, arguments: &[AmlValue<'a>]) -> Option<AmlValue<'a>> {
        self.last_step = self.names.bounds.steps().saturating_add(MAX_VALUE_STEPS);
        self.call(id, arguments, 0)
    }

    /// The value of a name directly below a place.
    pub(super) fn child(&mut self, of: NodeId, name: &[u8; 4]) -> Option<AmlValue<'a>> {
        self.value(self.names.child(of, *name)?, &[])
    }

    fn call(&mut self, id: NodeId, arguments: &[AmlValue<'a>], depth: u32) -> Option<AmlValue<'a>> {
        self.step(depth)?;
        let node = self.names.node(id)?;
        match node.kind {
            NodeKind::Scope | NodeKind::Device => Some(AmlValue::Reference(id)),
            NodeKind::Name => {
                self.names.bounds.spend(self.stored.len())?;
                if let Some((_, value)) = self.stored.iter().find(|(stored, _)| *stored == id) {
                    return Some(*value);
                }
                match data(self.names, node.parent, node.code)?.0 {
                    AmlValue::Reference(other) => self.call(other, &[], depth + 1),
                    value => Some(value),
                }
            }
            NodeKind::Method(_) => {
                self.names.bounds.spend(CALL_STEPS)?;
                let mut frame = Frame { scope: id, variables: Default::default() };
                for (slot, value) in frame.variables.iter_mut().skip(FIRST_ARGUMENT).zip(arguments) {
                    *slot = *value;
                }
                Some(self.block(&mut frame, node.code, depth + 1)?.unwrap_or_default())
            }
        }
    }

    fn step(&self, depth: u32) -> Option<()> {
        let bounds = &self.names.bounds;
        bounds.spend(1)?;
        if depth >= MAX_CALLS {
            return bounds.reach(AmlLimit::Calls);
        }
        if bounds.steps() > self.last_step {
            return bounds.reach(AmlLimit::ValueSteps);
        }
        Some(())
    }

    /// Executes statements. What they return is inside: nothing if they end without.
    fn block(
        &mut self,
        frame: &mut Frame<'a>,
        mut code: &'a [u8],
        depth: u32,
    ) -> Option<Option<AmlValue<'a>>> {
        while let Some((&opcode, rest)) = code.split_first() {
            self.step(depth)?;
            match opcode {
                0xa0 => {
                    let (inside, after) = package(rest)?;
                    let (holds, body) = self.integer(frame, inside, depth + 1)?;
                    // The branch for the other case follows.
                    let (other, after) = match after.strip_prefix(&[0xa1]) {
                        Some(other) => package(other)?,
                        None => (&[][..], after),
                    };
                    code = after;
                    let branch = if holds != 0 { body } else { other };
                    if let Some(value) = self.block(frame, branch, depth + 1)? {
                        return Some(Some(value));
                    }
                }
                0xa4 => return Some(Some(self.term(frame, rest, depth + 1)?.0)),
                _ => code = self.term(frame, code, depth + 1)?.1,
            }
        }
        Some(None)
    }

    fn integer(&mut self, frame: &mut Frame<'a>, code: &'a [u8], depth: u32) -> Option<(u64, &'a [u8])> {
        match self.term(frame, code, depth)? {
            (AmlValue::Integer(value), rest) => Some((value, rest)),
            _ => None,
        }
    }

    fn term(
        &mut self,
        frame: &mut Frame<'a>,
        code: &'a [u8],
        depth: u32,
    ) -> Option<(AmlValue<'a>, &'a [u8])> {
        self.step(depth)?;
        let (&opcode, rest) = code.split_first()?;
        match opcode {
            opcode if begins_name(opcode) => self.named(frame, code, depth),
            0x00 | 0x01 | 0x0a..=0x0e | 0x11 | 0x12 | 0xff => data(self.names, frame.scope, code),
            FIRST_VARIABLE..=0x6e => Some((frame.variables[usize::from(opcode - FIRST_VARIABLE)], rest)),
            0x70 => {
                let (value, rest) = self.term(frame, rest, depth + 1)?;
                let rest = self.store(frame, rest, value)?;
                Some((value, rest))
            }
            0x72 | 0x74 | 0x7b | 0x7d | 0x90 | 0x91 | 0x93..=0x95 => {
                self.operation(frame, opcode, rest, depth)
            }
            0x92 => {
                let (value, rest) = self.integer(frame, rest, depth + 1)?;
                Some((truth(value == 0), rest))
            }
            _ => None,
        }
    }

    fn named(
        &mut self,
        frame: &mut Frame<'a>,
        code: &'a [u8],
        depth: u32,
    ) -> Option<(AmlValue<'a>, &'a [u8])> {
        let (written, mut rest) = name(code, &self.names.bounds)?;
        if written.segments.last() == Some(b"_OSI") {
            // Weir is any system that the firmware asks for.
            let (_, rest) = self.term(frame, rest, depth + 1)?;
            return Some((truth(true), rest));
        }
        let id = self.names.find(frame.scope, written)?;
        let mut arguments: heapless::Vec<AmlValue<'a>, 7> = heapless::Vec::new();
        if let NodeKind::Method(count) = self.names.node(id)?.kind {
            for _ in 0..count {
                let (value, after) = self.term(frame, rest, depth + 1)?;
                arguments.push(value).ok()?;
                rest = after;
            }
        }
        Some((self.call(id, &arguments, depth + 1)?, rest))
    }

    /// An operation on two integers. Those that compare have no target.
    fn operation(
        &mut self,
        frame: &mut Frame<'a>,
        opcode: u8,
        code: &'a [u8],
        depth: u32,
    ) -> Option<(AmlValue<'a>, &'a [u8])> {
        let (a, rest) = self.integer(frame, code, depth + 1)?;
        let (b, rest) = self.integer(frame, rest, depth + 1)?;
        let value = match opcode {
            0x72 => AmlValue::Integer(a.wrapping_add(b)),
            0x74 => AmlValue::Integer(a.wrapping_sub(b)),
            0x7b => AmlValue::Integer(a & b),
            0x7d => AmlValue::Integer(a | b),
            0x90 => truth(a != 0 && b != 0),
            0x91 => truth(a != 0 || b != 0),
            0x93 => truth(a == b),
            0x94 => truth(a > b),
            _ => truth(a < b),
        };
        let rest = if opcode < 0x90 { self.store(frame, rest, value)? } else { rest };
        Some((value, rest))
    }

    /// Stores to a target. What is stored to something that is not known, such as a register, is lost.
    fn store(&mut self, frame: &mut Frame<'a>, code: &'a [u8], value: AmlValue<'a>) -> Option<&'a [u8]> {
        let (&opcode, rest) = code.split_first()?;
        match opcode {
            0 => Some(rest),
            FIRST_VARIABLE..=0x6e => {
                frame.variables[usize::from(opcode - FIRST_VARIABLE)] = value;
                Some(rest)
            }
            opcode if begins_name(opcode) => {
                let (written, rest) = name(code, &self.names.bounds)?;
                let found = self.names.find(frame.scope, written);
                let is_name =
                    |id: &NodeId| self.names.node(*id).is_some_and(|node| node.kind == NodeKind::Name);
                if let Some(id) = found.filter(is_name) {
                    self.names.bounds.spend(self.stored.len())?;
                    self.stored.retain(|(stored, _)| *stored != id);
                    if self.stored.push((id, value)).is_err() {
                        return self.names.bounds.reach(AmlLimit::Stored);
                    }
                }
                Some(rest)
            }
            _ => None,
        }
    }
}

/// The integer that a condition is.
fn truth(holds: bool) -> AmlValue<'static> {
    AmlValue::Integer(if holds { u64::MAX } else { 0 })
}
