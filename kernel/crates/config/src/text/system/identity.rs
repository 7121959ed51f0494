//! What tells a guest's machine from others: UUID, serial number and asset tag.

use super::Reader;
use crate::text::fields::{Fields, text};
use crate::text::value;
use crate::{IdentityConfig, MAX_IDENTITY_TEXT};

const UUID: &str = "a UUID in its usual form, like \"8d3a5b1e-0c4f-4a7b-9d2e-6f1a2b3c4d5e\"";
const IDENTITY_TEXT: &str = "1 to 64 printable ASCII characters, no space at either end";

impl Reader<'_, '_> {
    /// What tells the machine from others: by default derived from the guest's name.
    pub(super) fn identity(&mut self, fields: &mut Fields<'_>, name: Option<&str>) -> IdentityConfig {
        let derived = value::derived_uuid(name.unwrap_or_default());
        let field = fields.take("uuid");
        let uuid = match &field {
            None => {
                if name.is_some() {
                    self.unique("UUID", &fields.itself(), derived.to_string());
                }
                Some(derived)
            }
            Some(field) => text(field, UUID, self.report).and_then(|field| {
                let uuid = value::uuid(field.value);
                match uuid {
                    Some(uuid) => drop(self.unique("UUID", &field, uuid.to_string())),
                    None => {
                        let message = format!("\"{}\" is not {UUID}", field.value.escape_debug());
                        field.wrong(self.report, message);
                    }
                }
                uuid
            }),
        };
        let uuid = uuid.unwrap_or(derived);
        let serial = self.identity_text(fields, "serial").unwrap_or_else(|| uuid.to_string());
        let asset_tag = self.identity_text(fields, "asset_tag").unwrap_or_default();
        IdentityConfig { uuid: uuid.into_bytes(), serial, asset_tag }
    }

    fn identity_text(&mut self, fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
        let field = fields.take(name)?;
        let field = text(&field, IDENTITY_TEXT, self.report)?;
        let printable = field.value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let fits = (1..=MAX_IDENTITY_TEXT).contains(&field.value.len());
        if !(printable && fits && field.value.trim() == field.value) {
            field.wrong(self.report, format!("\"{}\" is not {IDENTITY_TEXT}", field.value.escape_debug()));
        }
        Some(field.value.into())
    }
}
