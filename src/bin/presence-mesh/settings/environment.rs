//! Variables named `PRESENCE_MESH_SECTION_KEY`.

use std::ffi::OsString;

use super::given::Given;
use super::schema::ENTRIES;
use super::{Problem, Settings};

/// Names the node that client commands talk to; none of a node's own settings.
const CLIENT: &str = "PRESENCE_MESH_HTTP";

/// Sets what the variables say; returns warnings about those that say nothing to us.
pub fn apply(
    settings: &mut Settings,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (name, value) in variables {
        let Some(name) = name
            .to_str()
            .filter(|name| name.starts_with("PRESENCE_MESH_") && *name != CLIENT)
        else {
            continue;
        };
        let Some(entry) = ENTRIES.iter().find(|entry| entry.variable() == name) else {
            warnings.push(Problem {
                place: name.to_owned(),
                message: "unknown variable ignored".to_owned(),
            });
            continue;
        };
        let applied = match value.to_str() {
            Some(value) => entry.apply(settings, Given::Text(value), None),
            None => Err(format!("{}: must be UTF-8", entry.full_name())),
        };
        if let Err(message) = applied {
            problems.push(Problem {
                place: name.to_owned(),
                message,
            });
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_variables_are_told_and_ignored_bad_ones_refused() {
        let variables = [
            ("PRESENCE_MESH_NOED", "x"),
            ("PRESENCE_MESH_HTTP", "y"),
            ("PATH", "z"),
            ("PRESENCE_MESH_PRESET", "q"),
        ];
        let variables =
            variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let mut settings = Settings::default();
        let mut problems = Vec::new();
        let warnings = apply(&mut settings, variables, &mut problems);
        assert_eq!(
            warnings
                .iter()
                .map(|warning| warning.place.as_str())
                .collect::<Vec<_>>(),
            ["PRESENCE_MESH_NOED"]
        );
        assert_eq!(
            problems
                .iter()
                .map(|problem| problem.place.as_str())
                .collect::<Vec<_>>(),
            ["PRESENCE_MESH_PRESET"]
        );
        assert_eq!(settings, Settings::default());
    }
}
