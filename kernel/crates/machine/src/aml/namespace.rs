//! The names of all tables in one tree.

use super::bounds::{AmlLimit, Bounds, MAX_BLOCKS, MAX_NAMES};
use super::stream::{WrittenName, begins_name, extended_operands, name, operands, package, string};
use alloc::vec::Vec;

/// Fewest bytes that define a name: four letters and the length of a field.
const LEAST_DEFINITION: usize = 5;

/// The scopes below the root that exist without a definition [ACPI 6.5 5.3.1].
const PREDEFINED: [&[u8; 4]; 5] = [b"_SB_", b"_GPE", b"_PR_", b"_TZ_", b"_SI_"];

/// A place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

/// The root of the tree.
pub(super) const ROOT: NodeId = NodeId(0);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// A scope, or something else that holds names.
    Scope,
    Device,
    /// With so many arguments.
    Method(u8),
    /// A value.
    Name,
}

/// A name with what it stands for.
pub(super) struct Node<'a> {
    pub(super) name: [u8; 4],
    pub(super) kind: NodeKind,
    /// Statements of a method; bytes that begin with a value.
    pub(super) code: &'a [u8],
    pub(super) parent: NodeId,
    first_child: Option<NodeId>,
    next: Option<NodeId>,
}

/// The tree.
pub(super) struct Namespace<'a> {
    nodes: Vec<Node<'a>>,
    pub(super) bounds: Bounds,
}

impl<'a> Namespace<'a> {
    /// The names of these tables. What cannot be read ends the block that it stands in.
    pub(super) fn new(tables: &[&'a [u8]]) -> Self {
        let mut names = Self { nodes: Vec::new(), bounds: Bounds::new() };
        let bytes: usize = tables.iter().map(|table| table.len()).sum();
        let room = (PREDEFINED.len() + 1 + bytes / LEAST_DEFINITION).min(MAX_NAMES);
        // At once, since a list that grows takes its memory twice. If there is none, there are no names.
        if names.nodes.try_reserve_exact(room).is_err() {
            names.bounds.reach::<()>(AmlLimit::Memory);
        }
        names.add(ROOT, *b"\\___", NodeKind::Scope, &[]);
        for scope in PREDEFINED {
            names.add(ROOT, *scope, NodeKind::Scope, &[]);
        }
        for table in tables {
            names.load(ROOT, table, 0);
        }
        names
    }

    /// What a place holds.
    pub(super) fn node(&self, id: NodeId) -> Option<&Node<'a>> {
        self.nodes.get(id.0 as usize)
    }

    /// Every place. Each costs a step.
    pub(super) fn all(&self) -> impl Iterator<Item = NodeId> {
        (0..).map(NodeId).take(self.nodes.len()).take_while(|_| self.bounds.spend(1).is_some())
    }

    /// The places directly below one. Each costs a step.
    pub(super) fn children(&self, of: NodeId) -> impl Iterator<Item = NodeId> {
        let mut next = self.node(of).and_then(|node| node.first_child);
        core::iter::from_fn(move || {
            let here = next?;
            self.bounds.spend(1)?;
            next = self.node(here).and_then(|node| node.next);
            Some(here)
        })
    }

    /// The place of this name directly below one.
    pub(super) fn child(&self, of: NodeId, name: [u8; 4]) -> Option<NodeId> {
        self.children(of).find(|child| self.node(*child).is_some_and(|node| node.name == name))
    }

    /// The place that a name written in `scope` means. One segment alone is looked for in the scopes above as well
    /// [ACPI 6.5 5.3].
    pub(super) fn find(&self, scope: NodeId, written: WrittenName<'_>) -> Option<NodeId> {
        let mut at = self.start(scope, written)?;
        if let (false, 0, [segment]) = (written.from_root, written.up, written.segments) {
            loop {
                if let Some(found) = self.child(at, *segment) {
                    return Some(found);
                }
                if at == ROOT {
                    return None;
                }
                at = self.node(at)?.parent;
            }
        }
        for segment in written.segments {
            at = self.child(at, *segment)?;
        }
        Some(at)
    }

    fn start(&self, scope: NodeId, written: WrittenName<'_>) -> Option<NodeId> {
        self.bounds.spend_bytes(written.up + size_of_val(written.segments))?;
        let mut at = if written.from_root { ROOT } else { scope };
        for _ in 0..written.up {
            at = self.node(at).map_or(ROOT, |node| node.parent);
            if at == ROOT {
                break;
            }
        }
        Some(at)
    }

    fn add(&mut self, parent: NodeId, name: [u8; 4], kind: NodeKind, code: &'a [u8]) -> Option<NodeId> {
        if self.nodes.len() >= self.nodes.capacity().min(MAX_NAMES) {
            return self.bounds.reach(AmlLimit::Names);
        }
        let id = NodeId(u32::try_from(self.nodes.len()).ok()?);
        let next = self.node(parent).and_then(|node| node.first_child).filter(|_| id != ROOT);
        self.nodes.push(Node { name, kind, code, parent, first_child: None, next });
        if id != ROOT {
            self.nodes.get_mut(parent.0 as usize)?.first_child = Some(id);
        }
        Some(id)
    }

    /// The place of a name that is defined in `scope`: the first definition counts.
    fn define(
        &mut self,
        scope: NodeId,
        written: WrittenName<'_>,
        kind: NodeKind,
        code: &'a [u8],
    ) -> Option<NodeId> {
        let mut at = self.start(scope, written)?;
        let Some((last, path)) = written.segments.split_last() else { return Some(at) };
        for segment in path {
            at = self.child(at, *segment)?;
        }
        self.child(at, *last).or_else(|| self.add(at, *last, kind, code))
    }

    fn load(&mut self, scope: NodeId, mut code: &'a [u8], depth: u32) {
        if depth == MAX_BLOCKS {
            self.bounds.reach::<()>(AmlLimit::Blocks);
            return;
        }
        while !code.is_empty() {
            let Some(rest) = self.statement(scope, code, depth) else { return };
            code = rest;
        }
    }

    /// Takes a statement at the level of tables and scopes; returns what follows it.
    fn statement(&mut self, scope: NodeId, code: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        self.bounds.spend(1)?;
        let (&opcode, rest) = code.split_first()?;
        match (opcode, rest.first()) {
            (0x10, _) => {
                let (inside, after) = package(rest)?;
                let (written, code) = name(inside, &self.bounds)?;
                // A scope is there already, maybe further up.
                let found = self.find(scope, written);
                let id = found.or_else(|| self.define(scope, written, NodeKind::Scope, &[]));
                id.into_iter().for_each(|id| self.load(id, code, depth + 1));
                Some(after)
            }
            (0x14, _) => {
                let (inside, after) = package(rest)?;
                let (written, code) = name(inside, &self.bounds)?;
                let (&flags, code) = code.split_first()?;
                self.define(scope, written, NodeKind::Method(flags & 7), code);
                Some(after)
            }
            (0x08, _) => {
                let (written, code) = name(rest, &self.bounds)?;
                self.define(scope, written, NodeKind::Name, code);
                self.skip(scope, code, depth)
            }
            // What stands under a condition is taken as if it held, and what stands under its opposite as well.
            (0xa0 | 0xa1, _) => {
                let (inside, after) = package(rest)?;
                let body = if opcode == 0xa0 { self.skip(scope, inside, depth) } else { Some(inside) };
                body.into_iter().for_each(|body| self.load(scope, body, depth + 1));
                Some(after)
            }
            // Device, processor, power resource, thermal zone: names inside, after bytes of their own.
            (0x5b, Some(kind @ 0x82..=0x85)) => {
                let (inside, after) = package(&rest[1..])?;
                let (written, code) = name(inside, &self.bounds)?;
                let own = [0, 6, 3, 0][usize::from(*kind - 0x82)];
                let kind = if *kind == 0x82 { NodeKind::Device } else { NodeKind::Scope };
                let id = self.define(scope, written, kind, &[]);
                id.zip(code.get(own..)).into_iter().for_each(|(id, code)| self.load(id, code, depth + 1));
                Some(after)
            }
            _ => self.skip(scope, code, depth),
        }
    }

    /// Steps over a statement or a term.
    fn skip(&self, scope: NodeId, code: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        self.bounds.spend(1)?;
        if depth == MAX_BLOCKS {
            return self.bounds.reach(AmlLimit::Blocks);
        }
        let (&opcode, rest) = code.split_first()?;
        if begins_name(opcode) {
            let (written, mut rest) = name(code, &self.bounds)?;
            let method = self.find(scope, written).and_then(|id| self.node(id));
            let arguments = method.map_or(0, |node| match node.kind {
                NodeKind::Method(arguments) => arguments,
                _ => 0,
            });
            for _ in 0..arguments {
                rest = self.skip(scope, rest, depth + 1)?;
            }
            return Some(rest);
        }
        let (operands, mut rest) = if opcode == 0x5b {
            (extended_operands(*rest.first()?)?, &rest[1..])
        } else {
            (operands(opcode)?, rest)
        };
        for operand in operands.bytes() {
            rest = match operand {
                b't' => self.skip(scope, rest, depth + 1)?,
                b'T' => self.skip_target(scope, rest, depth + 1)?,
                b'n' => name(rest, &self.bounds)?.1,
                b'p' => package(rest)?.1,
                b's' => string(rest, &self.bounds)?.1,
                digit => rest.get(usize::from(digit - b'0')..)?,
            };
        }
        Some(rest)
    }

    /// Steps over a target: nothing, a name, or a term that refers to something.
    fn skip_target(&self, scope: NodeId, code: &'a [u8], depth: u32) -> Option<&'a [u8]> {
        match *code.first()? {
            0 => Some(&code[1..]),
            byte if begins_name(byte) => Some(name(code, &self.bounds)?.1),
            _ => self.skip(scope, code, depth),
        }
    }
}
