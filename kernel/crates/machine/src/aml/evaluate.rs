//! Evaluating names and methods.

use super::namespace::{Namespace, NodeId, NodeKind};
use super::stream::{begins_name, integer, name, package, string};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Most terms and statements that one question may take.
const MAX_STEPS: u32 = 100_000;
/// Depth of calls, blocks and operands together.
const MAX_DEPTH: u32 = 40;
/// Most elements of a package, and most bytes of a buffer: a table of interrupts has a few hundred elements.
const MAX_ELEMENTS: usize = 4096;
/// Most values that stores to names may leave.
const MAX_STORED: usize = 256;

/// A value.
#[derive(Clone, Debug, Default)]
pub(super) enum AmlValue {
    #[default]
    Nothing,
    Integer(u64),
    /// A buffer or a string.
    Bytes(Rc<[u8]>),
    Package(Rc<Vec<AmlValue>>),
    /// What a name refers to.
    Reference(NodeId),
}

/// A method that runs: its arguments and local variables, which opcodes 60h to 6Eh name in this order.
struct Frame {
    scope: NodeId,
    variables: [AmlValue; 15],
}

const FIRST_VARIABLE: u8 = 0x60;
const FIRST_ARGUMENT: usize = 8;

/// Evaluates names. Every function that returns an `Option` returns `None` for what it does not know.
pub(super) struct Evaluator<'n, 'a> {
    names: &'n Namespace<'a>,
    /// What has been stored to names.
    stored: Vec<(NodeId, AmlValue)>,
    steps_left: u32,
}

impl<'n, 'a> Evaluator<'n, 'a> {
    pub(super) fn new(names: &'n Namespace<'a>) -> Self {
        Self { names, stored: Vec::new(), steps_left: 0 }
    }

    /// The value of a name, or what a method returns.
    pub(super) fn value(&mut self, id: NodeId, arguments: &[AmlValue]) -> Option<AmlValue> {
        self.steps_left = MAX_STEPS;
        self.call(id, arguments, 0)
    }

    /// The value of a name directly below a place.
    pub(super) fn child(&mut self, of: NodeId, name: &[u8; 4]) -> Option<AmlValue> {
        self.value(self.names.child(of, *name)?, &[])
    }

    fn call(&mut self, id: NodeId, arguments: &[AmlValue], depth: u32) -> Option<AmlValue> {
        self.step(depth)?;
        let node = self.names.node(id)?;
        let mut frame = Frame { scope: id, variables: Default::default() };
        match node.kind {
            NodeKind::Scope | NodeKind::Device => Some(AmlValue::Reference(id)),
            NodeKind::Name => {
                if let Some((_, value)) = self.stored.iter().find(|(stored, _)| *stored == id) {
                    return Some(value.clone());
                }
                frame.scope = node.parent;
                Some(self.term(&mut frame, node.code, depth + 1)?.0)
            }
            NodeKind::Method(_) => {
                for (slot, value) in frame.variables.iter_mut().skip(FIRST_ARGUMENT).zip(arguments) {
                    *slot = value.clone();
                }
                Some(self.block(&mut frame, node.code, depth + 1)?.unwrap_or_default())
            }
        }
    }

    fn step(&mut self, depth: u32) -> Option<()> {
        self.steps_left = self.steps_left.checked_sub(1).filter(|_| depth < MAX_DEPTH)?;
        Some(())
    }

    /// Executes statements. What they return is inside: nothing if they end without.
    fn block(&mut self, frame: &mut Frame, mut code: &'a [u8], depth: u32) -> Option<Option<AmlValue>> {
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

    fn integer(&mut self, frame: &mut Frame, code: &'a [u8], depth: u32) -> Option<(u64, &'a [u8])> {
        match self.term(frame, code, depth)? {
            (AmlValue::Integer(value), rest) => Some((value, rest)),
            _ => None,
        }
    }

    fn term(&mut self, frame: &mut Frame, code: &'a [u8], depth: u32) -> Option<(AmlValue, &'a [u8])> {
        self.step(depth)?;
        if let Some((value, rest)) = integer(code) {
            return Some((AmlValue::Integer(value), rest));
        }
        let (&opcode, rest) = code.split_first()?;
        match opcode {
            opcode if begins_name(opcode) => self.named(frame, code, depth),
            0x0d => string(rest).map(|(text, rest)| (AmlValue::Bytes(text.into()), rest)),
            0x11 => self.buffer(frame, rest, depth),
            0x12 => self.package(frame, rest, depth),
            FIRST_VARIABLE..=0x6e => {
                Some((frame.variables[usize::from(opcode - FIRST_VARIABLE)].clone(), rest))
            }
            0x70 => {
                let (value, rest) = self.term(frame, rest, depth + 1)?;
                let rest = self.store(frame, rest, &value)?;
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

    fn named(&mut self, frame: &mut Frame, code: &'a [u8], depth: u32) -> Option<(AmlValue, &'a [u8])> {
        let (written, mut rest) = name(code)?;
        if written.segments.last() == Some(b"_OSI") {
            // Weir is any system that the firmware asks for.
            let (_, rest) = self.term(frame, rest, depth + 1)?;
            return Some((truth(true), rest));
        }
        let id = self.names.find(frame.scope, written)?;
        let mut arguments: heapless::Vec<AmlValue, 7> = heapless::Vec::new();
        if let NodeKind::Method(count) = self.names.node(id)?.kind {
            for _ in 0..count {
                let (value, after) = self.term(frame, rest, depth + 1)?;
                arguments.push(value).ok()?;
                rest = after;
            }
        }
        Some((self.call(id, &arguments, depth + 1)?, rest))
    }

    fn buffer(&mut self, frame: &mut Frame, code: &'a [u8], depth: u32) -> Option<(AmlValue, &'a [u8])> {
        let (inside, after) = package(code)?;
        let (size, bytes) = self.integer(frame, inside, depth + 1)?;
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_ELEMENTS)?;
        let value = bytes.iter().copied().chain(core::iter::repeat(0)).take(size);
        Some((AmlValue::Bytes(value.collect()), after))
    }

    /// A package; its names are references, and those that mean nothing are empty.
    fn package(&mut self, frame: &mut Frame, code: &'a [u8], depth: u32) -> Option<(AmlValue, &'a [u8])> {
        let (inside, after) = package(code)?;
        let (&count, mut rest) = inside.split_first()?;
        let count = usize::from(count);
        let mut elements = Vec::new();
        while elements.len() < count && !rest.is_empty() {
            let value = if begins_name(rest[0]) {
                let (written, after) = name(rest)?;
                rest = after;
                self.names.find(frame.scope, written).map_or(AmlValue::Nothing, AmlValue::Reference)
            } else {
                let (value, after) = self.term(frame, rest, depth + 1)?;
                rest = after;
                value
            };
            elements.push(value);
        }
        elements.resize(count, AmlValue::Nothing);
        Some((AmlValue::Package(Rc::new(elements)), after))
    }

    /// An operation on two integers. Those that compare have no target.
    fn operation(
        &mut self,
        frame: &mut Frame,
        opcode: u8,
        code: &'a [u8],
        depth: u32,
    ) -> Option<(AmlValue, &'a [u8])> {
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
        let rest = if opcode < 0x90 { self.store(frame, rest, &value)? } else { rest };
        Some((value, rest))
    }

    /// Stores to a target. What is stored to something that is not known, such as a register, is lost.
    fn store(&mut self, frame: &mut Frame, code: &'a [u8], value: &AmlValue) -> Option<&'a [u8]> {
        let (&opcode, rest) = code.split_first()?;
        match opcode {
            0 => Some(rest),
            FIRST_VARIABLE..=0x6e => {
                frame.variables[usize::from(opcode - FIRST_VARIABLE)] = value.clone();
                Some(rest)
            }
            opcode if begins_name(opcode) => {
                let (written, rest) = name(code)?;
                let found = self.names.find(frame.scope, written);
                let is_name =
                    |id: &NodeId| self.names.node(*id).is_some_and(|node| node.kind == NodeKind::Name);
                if let Some(id) = found.filter(is_name) {
                    self.stored.retain(|(stored, _)| *stored != id);
                    if self.stored.len() == MAX_STORED {
                        return None;
                    }
                    self.stored.push((id, value.clone()));
                }
                Some(rest)
            }
            _ => None,
        }
    }
}

/// The integer that a condition is.
fn truth(holds: bool) -> AmlValue {
    AmlValue::Integer(if holds { u64::MAX } else { 0 })
}
