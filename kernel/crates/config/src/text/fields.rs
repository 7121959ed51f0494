//! A table of the file, read field by field. Missing and unknown fields and values of the wrong type are reported.

use super::report::Report;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Maximum edit distance between a misspelt name and the suggested one.
const NEAR: usize = 2;

/// A table whose fields are taken one after the other; [`Fields::finish`] reports those that were not taken.
pub struct Fields<'a> {
    table: &'a DeTable<'a>,
    at: Range<usize>,
    path: String,
    known: Vec<&'static str>,
}

/// A value with its place in the text and the path of its field.
pub struct Located<T> {
    pub value: T,
    pub at: Range<usize>,
    pub path: String,
}

impl<T> Located<T> {
    /// Reports an error in this value.
    pub fn wrong(&self, report: &mut Report<'_>, message: impl Into<String>) {
        report.add(&self.at, &self.path, message);
    }

    /// Another value at the same place.
    pub fn with<U>(&self, value: U) -> Located<U> {
        Located { value, at: self.at.clone(), path: self.path.clone() }
    }
}

impl<'a> Fields<'a> {
    pub fn new(table: &'a DeTable<'a>, at: Range<usize>, path: String) -> Self {
        Self { table, at, path, known: Vec::new() }
    }

    /// The table itself, for errors that concern none of its fields.
    pub fn itself(&self) -> Located<()> {
        Located { value: (), at: self.at.clone(), path: self.path.clone() }
    }

    /// The place of a field; of the table if the field is not given.
    pub fn place(&self, name: &str) -> Located<()> {
        let at = self.at.clone();
        self.given(name).unwrap_or_else(|| Located { value: (), at, path: self.path_of(name) })
    }

    /// The place of a field that is given.
    pub fn given(&self, name: &str) -> Option<Located<()>> {
        self.table.get(name).map(|value| Located { value: (), at: value.span(), path: self.path_of(name) })
    }

    /// The path of a field of this table.
    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    /// A field of any type, if it is given.
    pub fn take(&mut self, name: &'static str) -> Option<Located<&'a DeValue<'a>>> {
        self.known.push(name);
        let path = self.path_of(name);
        self.table.get(name).map(|value| Located { value: value.get_ref(), at: value.span(), path })
    }

    /// A required field. `allowed` describes its values for the error message.
    pub fn need(
        &mut self,
        name: &'static str,
        allowed: &str,
        report: &mut Report<'_>,
    ) -> Option<Located<&'a DeValue<'a>>> {
        let field = self.take(name);
        if field.is_none() {
            report.add(&self.at, &self.path_of(name), format!("missing: expected {allowed}"));
        }
        field
    }

    /// An array of tables; empty if it is not given.
    pub fn tables(&mut self, name: &'static str, report: &mut Report<'_>) -> Vec<Fields<'a>> {
        let Some(field) = self.take(name) else { return Vec::new() };
        let mut tables = Vec::new();
        for (index, item) in field.value.as_array().into_iter().flatten().enumerate() {
            if let Some(table) = item.get_ref().as_table() {
                tables.push(Fields::new(table, item.span(), format!("{}[{index}]", field.path)));
            }
        }
        if field.value.as_array().is_none_or(|items| items.iter().count() != tables.len()) {
            field.wrong(
                report,
                format!("expected tables, each with its own [[{}]] heading", heading(&field.path)),
            );
        }
        tables
    }

    /// The items of an array, if one is given.
    pub fn items(
        &mut self,
        name: &'static str,
        allowed: &str,
        report: &mut Report<'_>,
    ) -> Option<Vec<Located<&'a DeValue<'a>>>> {
        let field = self.take(name)?;
        let items = items(&field);
        if items.is_none() {
            field.wrong(report, format!("expected {allowed}, but found {}", kind(field.value)));
        }
        items
    }

    /// A single table, if it is given.
    pub fn table(&mut self, name: &'static str, report: &mut Report<'_>) -> Option<Fields<'a>> {
        let field = self.take(name)?;
        let table = field.value.as_table();
        if table.is_none() {
            field.wrong(report, format!("expected one table with the heading [{}]", heading(&field.path)));
        }
        table.map(|table| Fields::new(table, field.at, field.path))
    }

    /// Reports the fields that were not taken.
    pub fn finish(self, report: &mut Report<'_>) {
        for (name, _) in self.table {
            if self.known.contains(&name.get_ref().as_ref()) {
                continue;
            }
            let near = self.known.iter().map(|known| (distance(known, name.get_ref()), known)).min();
            let suggestion = match near {
                Some((letters, known)) if letters <= NEAR => format!(", did you mean {known}?"),
                _ => String::new(),
            };
            let message = format!("unknown field{suggestion} (known fields: {})", self.known.join(", "));
            report.add(&name.span(), &self.path_of(name.get_ref()), message);
        }
    }
}

/// The value of a string field; another type is reported.
pub fn text<'a>(
    field: &Located<&'a DeValue<'a>>,
    allowed: &str,
    report: &mut Report<'_>,
) -> Option<Located<&'a str>> {
    let text = field.value.as_str().map(|text| field.with(text));
    if text.is_none() {
        field.wrong(report, format!("expected a string with {allowed}, but found {}", kind(field.value)));
    }
    text
}

/// A whole number that fits.
pub fn integer<T: TryFrom<u32>>(value: &DeValue<'_>) -> Option<T> {
    let number = value.as_integer()?;
    u32::from_str_radix(number.as_str(), number.radix()).ok()?.try_into().ok()
}

/// The items of an array.
pub fn items<'a>(field: &Located<&'a DeValue<'a>>) -> Option<Vec<Located<&'a DeValue<'a>>>> {
    let item = |(index, item): (usize, &'a toml::Spanned<DeValue<'a>>)| Located {
        value: item.get_ref(),
        at: item.span(),
        path: format!("{}[{index}]", field.path),
    };
    field.value.as_array().map(|array| array.iter().enumerate().map(item).collect())
}

/// The type of a value, with its article.
pub fn kind(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// `vm.vnic` of `vm[0].vnic`.
fn heading(path: &str) -> String {
    path.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect::<Vec<_>>().join(".")
}

/// The edit distance of two names: how many letters must be changed, added or removed to turn one into the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, same) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *same);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
