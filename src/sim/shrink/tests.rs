use super::*;
use crate::sim::{
    Broken, Chance, Chaos, Checker, Disk, Fault, Regions, Step, Verb, Verdict, World, run_with,
};

fn fault(at_s: u64, until_s: u64, verb: Verb) -> Fault {
    Fault {
        at_us: at_s * 1_000_000,
        until_us: Some(until_s * 1_000_000),
        verb,
    }
}

fn crash(node: usize) -> Verb {
    Verb::Crash {
        node,
        disk: Disk::Kept,
        power: false,
    }
}

/// Everything that can be taken away, and five faults among which two matter.
fn large() -> Scenario {
    let mut scenario = Scenario::new("large", 6, 60_000_000);
    scenario.network.loss = Chance(200_000);
    scenario.network.regions = Some(Regions {
        names: vec!["a".to_owned(), "b".to_owned()],
        of: vec![0, 0, 0, 0, 0, 1],
        one_way_us: vec![vec![0, 5_000], vec![5_000, 0]],
    });
    scenario.network.overlay = Some((1..6).map(|node| (0, node)).collect());
    scenario.workload.keys = 30;
    scenario.workload.batch = 4;
    scenario.faults = vec![
        fault(2, 30, Verb::Loss(Chance(100_000))),
        fault(4, 9, Verb::Partition(vec![vec![0, 1], vec![2, 3], vec![4]])),
        fault(5, 20, crash(3)),
        fault(6, 12, Verb::Isolate(5)),
        fault(8, 40, Verb::Pause(2)),
    ];
    scenario
}

fn name_of(scenario: &Scenario, verb: &str) -> Option<String> {
    scenario.faults.iter().find_map(|fault| match &fault.verb {
        Verb::Crash { node, .. } if verb == "crash" => Some(scenario.nodes[*node].clone()),
        Verb::Pause(node) if verb == "pause" => Some(scenario.nodes[*node].clone()),
        _ => None,
    })
}

/// Fails when n3 crashes and n2 pauses, with at least five keys.
fn failing(scenario: &Scenario) -> bool {
    name_of(scenario, "crash").as_deref() == Some("n3")
        && name_of(scenario, "pause").as_deref() == Some("n2")
        && scenario.workload.keys >= 5
}

#[test]
fn what_does_not_matter_is_taken_away() {
    let small = shrink(&large(), 9, 1_000, failing);
    assert!(failing(&small));
    assert_eq!(small.nodes, ["n2", "n3"], "names are kept");
    assert_eq!(small.faults.len(), 2);
    assert_eq!(small.workload.keys, 5);
    assert_eq!((small.workload.shared_keys, small.workload.batch), (0, 1));
    assert_eq!(small.workload.every_us, None);
    assert_eq!(small.network, crate::sim::Network::new(2));
    assert!(small.duration_us < 20_000_000, "{}", small.duration_us);
    assert_eq!(small.seed, 9);
    let read = Scenario::from_toml("large", &small.to_toml()).unwrap();
    assert_eq!(read, small, "what is left can be written down");
}

#[test]
fn every_candidate_can_be_written_down() {
    let mut scenario = large();
    scenario.chaos = Some(Chaos {
        every_us: 2_000_000,
        longest_us: 10_000_000,
        kinds: Vec::new(),
    });
    let mut random = crate::sim::Draws::new(1, 1, crate::sim::Purpose::Choice);
    let mut asked = 0;
    shrink(&scenario, 5, 500, |candidate| {
        asked += 1;
        assert_eq!(candidate.chaos, None, "chaos is drawn before");
        let read = Scenario::from_toml("large", &candidate.to_toml());
        assert_eq!(&read.unwrap_or_else(|error| panic!("{error}")), candidate);
        random.happens(Chance(300_000))
    });
    assert!(asked > 20);
}

#[test]
fn it_asks_no_more_often_than_it_may() {
    for budget in [0, 1, 7] {
        let mut asked = 0;
        shrink(&large(), 9, budget, |scenario| {
            asked += 1;
            failing(scenario)
        });
        assert_eq!(asked, budget);
    }
    let first = shrink(&large(), 9, 60, failing);
    assert_eq!(first, shrink(&large(), 9, 60, failing));
}

#[test]
fn what_fails_whatever_is_taken_becomes_nothing() {
    let small = shrink(&large(), 9, 10_000, |_| true);
    assert_eq!((small.nodes.len(), small.faults.len()), (1, 0));
}

/// Content until a replica other than the first is started for the second time.
struct NobodyReturns {
    starts: std::collections::BTreeMap<usize, u32>,
}

impl Checker for NobodyReturns {
    fn name(&self) -> &'static str {
        "nobody-returns"
    }

    fn step(&mut self, world: &World, step: &Step) -> Result<(), Broken> {
        if step.cause == crate::sim::Cause::Started {
            let starts = self.starts.entry(step.node).or_default();
            *starts += 1;
            if *starts > 1 {
                return Err(Broken {
                    node: Some(step.node),
                    text: format!("{} returned", world.name(step.node)),
                });
            }
        }
        Ok(())
    }
}

/// With real runs: of six nodes and five faults one node and the one crash are left.
#[test]
fn a_real_failure_is_shrunk_to_what_causes_it() {
    let fails = |scenario: &Scenario| {
        let checker = NobodyReturns {
            starts: std::collections::BTreeMap::new(),
        };
        let (outcome, _) = run_with(scenario, 4, false, vec![Box::new(checker)]);
        matches!(outcome.verdict, Verdict::Fail(violation) if violation.checker == "nobody-returns")
    };
    let mut scenario = large();
    scenario.network.regions = None;
    assert!(fails(&scenario));
    let small = shrink(&scenario, 4, 100, fails);
    assert!(fails(&small));
    assert_eq!(small.nodes, ["n3"]);
    let verbs: Vec<_> = small.faults.iter().map(|fault| fault.verb.word()).collect();
    assert_eq!(verbs, ["crash"]);
}
