//! What others sent for the same.

use presence_mesh::sim::Outcome;

use super::account::grouped;
use crate::table;

/// Elements sent on the tree and on the partial mesh by the systems of Enes, Almeida, Baquero and Leitão,
/// "Efficient Synchronization of State-based CRDTs" (ICDE 2019, arXiv 1803.02750).
const PUBLISHED: [(&str, u64, u64); 4] = [
    ("least possible", 21_000, 21_000),
    ("Scuttlebutt", 21_000, 44_959),
    ("delta BP+RR", 21_000, 68_919),
    ("state-based", 2_187_255, 4_735_324),
];

/// Ours beside theirs, when the scenario is that experiment.
pub fn table(outcome: &Outcome) -> Option<String> {
    let theirs: fn(&(&str, u64, u64)) -> u64 = match outcome.scenario.as_str() {
        "icde19-tree" => |row| row.1,
        "icde19-mesh" => |row| row.2,
        _ => return None,
    };
    let figures = &outcome.figures;
    let ours = [vec![
        "presence-mesh".to_owned(),
        grouped(figures.payload_elements),
        grouped(figures.metadata_units),
    ]];
    let rows = PUBLISHED
        .iter()
        .map(|row| vec![row.0.to_owned(), grouped(theirs(row)), String::new()])
        .chain(ours);
    Some(format!(
        "\n{}",
        table::table(&["ICDE 2019", "ELEMENTS SENT", "METADATA"], rows)
    ))
}
