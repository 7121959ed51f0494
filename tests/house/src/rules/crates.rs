//! `crate-direction`: packages of the kernel depend on each other in the direction of docs/architecture.md.

use crate::Error;
use crate::tables::Knows;
use crate::violation::Violation;
use toml::{Table, Value};

/// A dependency, as the workspace gives it where the package inherits it.
struct Dependency<'a> {
    key: &'a str,
    package: &'a str,
    has_path: bool,
}

/// A package's manifest.
pub struct Manifest {
    /// Path from the root of the tree.
    pub path: String,
    text: String,
    table: Table,
}

impl Manifest {
    /// Parses a `Cargo.toml`.
    ///
    /// # Errors
    /// When it is not TOML.
    pub fn new(path: &str, text: &str) -> Result<Self, Error> {
        let table = text
            .parse()
            .map_err(|source| Error::Manifest { path: path.to_owned(), source: Box::new(source) })?;
        Ok(Self { path: path.to_owned(), text: text.to_owned(), table })
    }

    /// Name of the package; empty when it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        let package = self.table.get("package").and_then(|package| package.get("name"));
        package.and_then(|name| name.as_str()).unwrap_or_default()
    }

    /// Packages in sections called `section`, those for single targets included; `workspace` is the root's manifest.
    fn dependencies<'a>(&'a self, section: &str, workspace: &'a Self) -> Vec<Dependency<'a>> {
        let inherited = workspace.table.get("workspace").and_then(|table| table.get("dependencies"));
        let targets = self.table.get("target").and_then(|targets| targets.as_table());
        let tables = targets.into_iter().flat_map(Table::values).filter_map(|target| target.as_table());
        let sections =
            std::iter::once(&self.table).chain(tables).filter_map(|table| table.get(section)?.as_table());
        let dependency = |(key, value): (&'a String, &'a Value)| {
            let is_inherited = value.get("workspace").is_some();
            let value = inherited.filter(|_| is_inherited).and_then(|table| table.get(key)).unwrap_or(value);
            let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
            Dependency { key, package, has_path: value.get("path").is_some() }
        };
        sections.flatten().map(dependency).collect()
    }

    /// Line that mentions `name` after the head of `section`.
    fn line(&self, section: &str, name: &str) -> usize {
        let mut lines = self.text.lines().zip(1..).skip_while(|(line, _)| !line.contains(section));
        lines.find(|(line, _)| line.contains(name)).map_or(1, |(_, line)| line)
    }
}

/// Dependencies of `manifests` that `table` does not allow, on its own packages and on any that is given by its path.
/// `workspace` is the manifest at the root.
#[must_use]
pub fn check(manifests: &[Manifest], workspace: &Manifest, table: &[Knows]) -> Vec<Violation> {
    let violation =
        |manifest: &Manifest, line, text| Violation::new(&manifest.path, line, "crate-direction", text);
    let is_own = |name: &str| {
        manifests.iter().any(|manifest| manifest.name() == name)
            || table.iter().any(|row| row.package == name)
    };
    let mut found = Vec::new();
    for manifest in manifests {
        let name = manifest.name();
        let Some(row) = table.iter().find(|row| row.package == name) else {
            let text = format!(
                "the package {name} has no row in PACKAGES of tests/house/src/tables.rs: give it one"
            );
            found.push(violation(manifest, 1, text));
            continue;
        };
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let is_allowed = |other: &str| {
                row.packages.contains(&other) || (section == "dev-dependencies" && row.tests.contains(&other))
            };
            for Dependency { key, package, has_path } in manifest.dependencies(section, workspace) {
                if (has_path || is_own(package)) && !is_allowed(package) {
                    let text = format!(
                        "{name} must not know {package} in its {section}: pass what it needs as values of base"
                    );
                    found.push(violation(manifest, manifest.line(section, key), text));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Knows] = &[
        Knows { package: "base", packages: &[], tests: &[] },
        Knows { package: "path", packages: &["base"], tests: &["testkit"] },
        Knows { package: "nic", packages: &["base"], tests: &["path", "testkit"] },
        Knows { package: "testkit", packages: &["base"], tests: &[] },
    ];

    fn said(name: &str, rest: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\"\n{rest}");
        let manifest = Manifest::new(&format!("kernel/crates/{name}/Cargo.toml"), &text).expect("TOML");
        let root = "[workspace.dependencies]\nnic = { path = \"kernel/crates/nic\" }\nserde = \"1\"
            cards = { package = \"nic\", path = \"kernel/crates/nic\" }\nmicro = { path = \"guest-images/micro\" }";
        let root = Manifest::new("Cargo.toml", root).expect("TOML");
        check(&[manifest], &root, TABLE).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_dependency_against_the_direction_is_named_with_its_line() {
        let said = said("path", "[dependencies]\nbase.workspace = true\nnic.workspace = true\n");
        assert_eq!(said.len(), 1);
        assert!(
            said[0].starts_with("kernel/crates/path/Cargo.toml:5: crate-direction: path must not know nic")
        );
    }

    #[test]
    fn only_tests_know_what_the_table_gives_to_tests() {
        assert!(
            said("nic", "[dev-dependencies]\npath.workspace = true\ntestkit.workspace = true\n").is_empty()
        );
        assert_eq!(said("nic", "[dependencies]\npath.workspace = true\n").len(), 1);
        assert_eq!(said("base", "[dev-dependencies]\ntestkit.workspace = true\n").len(), 1);
    }

    #[test]
    fn other_names_and_single_targets_are_seen_through() {
        assert_eq!(
            said("path", "[dependencies]\ncards = { package = \"nic\", path = \"../nic\" }\n").len(),
            1
        );
        assert_eq!(said("path", "[target.'cfg(unix)'.dependencies]\nnic.workspace = true\n").len(), 1);
        assert!(said("path", "[dependencies]\nserde = \"1\"\n").is_empty());
    }

    #[test]
    fn names_that_the_workspace_gives_are_seen_through() {
        let said =
            |name| said("path", &format!("[dependencies]\nbase.workspace = true\n{name}.workspace = true\n"));
        assert!(
            said("cards")[0]
                .starts_with("kernel/crates/path/Cargo.toml:5: crate-direction: path must not know nic")
        );
        assert!(said("serde").is_empty());
    }

    #[test]
    fn packages_elsewhere_in_the_tree_count() {
        assert_eq!(said("path", "[dependencies]\nmicro.workspace = true\n").len(), 1);
        assert_eq!(said("path", "[dependencies]\nhelper = { path = \"../../../tests/helper\" }\n").len(), 1);
    }

    #[test]
    fn a_package_without_a_row_is_named() {
        assert!(said("nic-manager", "")[0].contains("nic-manager has no row"));
    }
}
