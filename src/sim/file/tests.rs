use super::*;
use crate::sim::scenario::{Disk, Fault, Verb};
use crate::sim::{Chance, Draws, Latency, Purpose};

/// A file with this after its head of three lines.
fn with(rest: &str) -> String {
    format!("nodes = 5\nduration = \"60s\"\nseed = 7\n{rest}")
}

fn parse(rest: &str) -> Scenario {
    Scenario::from_toml("x", &with(rest)).unwrap()
}

/// The error's text, which must begin with the file.
fn error(rest: &str) -> String {
    let error = Scenario::from_toml("x", &with(rest))
        .unwrap_err()
        .to_string();
    error
        .strip_prefix("x.toml:")
        .unwrap_or_else(|| panic!("{error} names the file"))
        .to_owned()
}

fn fault(row: &str) -> String {
    error(&format!("[[fault]]\nat = \"1s\"\n{row}"))
}

#[test]
fn a_file_says_what_happens() {
    let scenario = parse(
        r#"
about = "a \"test\""
preset = "wan"
gossip = false
[timing]
sync = "3s"
[network]
latency = { pareto = 1.5, least = "1ms", most = "2s" }
bandwidth = "1Mbit/s"
[network.regions]
east = ["n0", "n1"]
west = ["n2", "n3", "n4"]
[network.matrix]
east-west = "40ms"
west-west = "3ms"
west-east = "50ms"
[network.overlay]
n1 = ["n0", "n2"]
n0 = ["n1"]
[[fault]]
at = "20s"
crash = "n1"
disk = "old"
power = true
[[fault]]
at = "10s"
until = "60s"
clock = "n2"
set = "2026-01-02"
drift_ppm = -40
"#,
    );
    assert_eq!((scenario.name.as_str(), scenario.seed), ("x", 7));
    assert_eq!(scenario.about, "a \"test\"");
    assert_eq!(scenario.nodes, ["n0", "n1", "n2", "n3", "n4"]);
    assert_eq!(scenario.timing.stale_after.as_secs(), 5);
    assert_eq!(scenario.timing.sync.as_secs(), 3);
    assert_eq!(scenario.gossip, None);
    let network = &scenario.network;
    assert_eq!(
        network.latency,
        Latency::Pareto {
            least_us: 1_000,
            shape_milli: 1_500,
            most_us: 2_000_000
        }
    );
    assert_eq!(network.bandwidth, Some(125_000));
    assert_eq!(network.overlay, Some(vec![(0, 1), (1, 2)]));
    let regions = network.regions.as_ref().unwrap();
    assert_eq!(regions.of, [0, 0, 1, 1, 1]);
    assert_eq!(
        regions.one_way_us,
        [[0, 40_000], [50_000, 3_000]].map(Vec::from)
    );
    let faults = [
        Fault {
            at_us: 10_000_000,
            until_us: Some(60_000_000),
            verb: Verb::Clock {
                node: 2,
                offset_ms: 86_390_000,
                drift_ppm: -40,
            },
        },
        Fault {
            at_us: 20_000_000,
            until_us: None,
            verb: Verb::Crash {
                node: 1,
                disk: Disk::Old,
                power: true,
            },
        },
    ];
    assert_eq!(scenario.faults, faults);
}

#[test]
fn unknown_keys_are_told_with_the_nearest() {
    let cases = [
        (
            "abuot = \"x\"",
            "4: unknown key \"abuot\", the nearest known key is about",
        ),
        (
            "loss = 0.1",
            "4: unknown key \"loss\", the nearest known key is network.loss",
        ),
        (
            "[network]\nlos = 0.1",
            "5: unknown key \"network.los\", the nearest known key is network.loss",
        ),
        (
            "[chaos]\nevry = \"1s\"",
            "5: unknown key \"chaos.evry\", the nearest known key is chaos.every",
        ),
        (
            "[network]\nburst = { entr = 0.1 }",
            "5: unknown key \"network.burst.entr\", the nearest known key is network.burst.enter",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected);
    }
    assert_eq!(
        fault("utnil = \"2s\"\nring = true"),
        "6: unknown key \"fault.utnil\", the nearest known key is fault.until"
    );
}

#[test]
fn values_out_of_bounds_are_told_with_the_bound() {
    let cases = [
        (
            "[network]\nloss = 1.2",
            "5: network.loss: must be a probability from 0 to 1 with at most 6 digits, not 1.2",
        ),
        (
            "[network]\nreorder = -0.1",
            "5: network.reorder: must be a probability from 0 to 1 with at most 6 digits, not -0.1",
        ),
        (
            "settle = \"0s\"",
            "4: settle: must be more than 0, not \"0s\"",
        ),
        (
            "settle = 3",
            "4: settle: must be a whole number and us, ms, s, m, h or d, as in \"250ms\", at most 30d, not 3",
        ),
        (
            "settle = \"31d\"",
            "4: settle: must be a whole number and us, ms, s, m, h or d, as in \"250ms\", at most 30d, not \"31d\"",
        ),
        (
            "preset = \"moon\"",
            "4: preset: must be lan, wan or local, not \"moon\"",
        ),
        (
            "mailboxes = \"max\"",
            "4: mailboxes: must be latest or sum, not \"max\"",
        ),
        (
            "network = 3",
            "4: network: must be a table, [network], not 3",
        ),
        (
            "[timing]\nstale_after = \"1s\"",
            "5: timing.stale_after is 1s, it must be at least 3s",
        ),
        (
            "[timing]\n\nbeat = \"4s\"",
            "4: timing.stale_after is 3s, it must be at least 12s",
        ),
        (
            "[limits]\ngraves = 0",
            "5: limits.graves: must be a whole number from 1 to 4294967295, not 0",
        ),
        (
            "[network]\nlatency = { uniform = [\"5ms\", \"1ms\"] }",
            "5: network.latency.uniform: must be at least 5ms, not \"1ms\"",
        ),
        (
            "[network]\nlatency = { exponential = \"5ms\" }",
            "5: network.latency.least is missing",
        ),
        (
            "[network]\nlatency = { uniform = [\"1ms\", \"2ms\"], most = \"1s\" }",
            "5: network.latency.most goes with pareto only",
        ),
        (
            "[network]\nbandwidth = \"1Mbps\"",
            "5: network.bandwidth: must be a whole number and bit/s, kbit/s, Mbit/s, Gbit/s, B/s, kB/s or MB/s, as in \"1Mbit/s\", of at least one byte a second, not \"1Mbps\"",
        ),
        (
            "[chaos]\nlongest = \"61s\"\nevery = \"1s\"",
            "5: chaos.longest: must be at most the duration, 60s, not \"61s\"",
        ),
        ("[chaos]\nevery = \"1s\"", "4: chaos.longest is missing"),
        (
            "gossip = 3",
            "4: gossip: must be true, false or a table, [gossip], not 3",
        ),
        (
            "[gossip]\nmesh_n = 20",
            "5: gossip.mesh_n: must be at most 12, not 20",
        ),
        (
            "[workload]\nbatch = 0",
            "5: workload.batch: must be a whole number from 1 to 1000000, not 0",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
    let error = error("[chaos]\nevery = \"1s\"\nlongest = \"1s\"\nkinds = [\"crash\", \"fire\"]");
    assert!(error.starts_with("7: chaos.kinds: must be one of partition, one_way, "));
    assert!(error.ends_with(", replay, not \"fire\""), "{error}");
}

#[test]
fn faults_name_nodes_and_times_that_exist() {
    let cases = [
        (
            "crash = \"n9\"",
            "6: fault.crash: there is no node \"n9\", the nodes are n0, n1, n2, n3, n4",
        ),
        (
            "partition = [[\"n0\"], [\"n7\"]]",
            "6: fault.partition: there is no node \"n7\", the nodes are n0, n1, n2, n3, n4",
        ),
        (
            "partition = [[\"n0\"],\n [\"n1\", \"n0\"]]",
            "7: fault.partition: \"n0\" stands here twice",
        ),
        (
            "partition = [[\"n0\"], []]",
            "6: fault.partition: names no node",
        ),
        ("partition = []", "6: fault.partition: names no node"),
        (
            "one_way = { from = [\"n0\"], to = [\"n0\"] }",
            "6: fault.one_way: \"n0\" stands here twice",
        ),
        (
            "one_way = { from = [\"n0\"] }",
            "6: fault.one_way.to is missing",
        ),
        (
            "until = \"61s\"\nring = true",
            "6: fault.until: must be at most the end at 60s, not \"61s\"",
        ),
        (
            "until = \"1s\"\nring = true",
            "6: fault.until: must be after at, 1s, not \"1s\"",
        ),
        ("ring = false", "6: fault.ring: must be true, not false"),
        (
            "ring = true\nisolate = \"n0\"",
            "7: a fault has one verb, not both ring and isolate",
        ),
        (
            "crash = \"n0\"\ndisk = \"wet\"",
            "7: fault.disk: must be kept, lost or old, not \"wet\"",
        ),
        (
            "leave = \"n0\"\npower = true",
            "7: fault.power goes with crash only",
        ),
        (
            "loss = 2",
            "6: fault.loss: must be a probability from 0 to 1 with at most 6 digits, not 2",
        ),
        (
            "clock = \"n0\"",
            "6: fault.clock: must be with offset, set or drift_ppm, not \"n0\"",
        ),
        (
            "clock = \"n0\"\noffset = \"1us\"",
            "7: fault.offset: must be a span of whole milliseconds with or without a sign, as in \"-1h\", not \"1us\"",
        ),
        (
            "clock = \"n0\"\noffset = \"-30000d\"",
            "7: fault.offset: must be a step to a year from 1970 to 9999, not \"-30000d\"",
        ),
        (
            "clock = \"n0\"\nset = \"2100-02-29\"",
            "7: fault.set: must be a date from 1970 to 9999, as in \"2100-01-01\", not \"2100-02-29\"",
        ),
        (
            "clock = \"n0\"\ndrift_ppm = 600000",
            "7: fault.drift_ppm: must be a whole number from -500000 to 500000, not 600000",
        ),
    ];
    for (row, expected) in cases {
        assert_eq!(fault(row), expected, "{row}");
    }
    assert_eq!(
        error("[[fault]]\nat = \"60s\"\nring = true"),
        "5: fault.at: must be before the end at 60s, not \"60s\""
    );
    assert_eq!(error("[[fault]]\nring = true"), "4: fault.at is missing");
    let none = fault("");
    assert!(
        none.starts_with("4: a fault needs one of partition, one_way, "),
        "{none}"
    );
}

#[test]
fn regions_and_overlays_are_whole() {
    let regions = "[network.regions]\na = [\"n0\", \"n1\"]\nb = [\"n2\", \"n3\"";
    let cases = [
        (
            "]\n[network.matrix]\na-b = \"1ms\"",
            "4: network.regions: \"n4\" is in no region",
        ),
        (
            ", \"n4\", \"n0\"]\n[network.matrix]\na-b = \"1ms\"",
            "6: network.regions: \"n0\" stands here twice",
        ),
        (", \"n4\"]", "4: network.matrix is missing"),
        (
            ", \"n4\"]\n[network.matrix]\na-c = \"1ms\"",
            "8: network.matrix: there is no region \"c\", the regions are a, b",
        ),
        (
            ", \"n4\"]\n[network.matrix]\na-a = \"1ms\"",
            "7: network.matrix: says nothing about a and b, give \"a-b\"",
        ),
    ];
    for (rest, expected) in cases {
        assert_eq!(error(&format!("{regions}{rest}")), expected, "{rest}");
    }
    assert_eq!(
        error("[network.overlay]\nn0 = [\"n1\"]\nn9 = [\"n1\"]"),
        "6: network.overlay.n9: there is no node \"n9\", the nodes are n0, n1, n2, n3, n4"
    );
    assert_eq!(
        error("[network.overlay]\nn0 = [\"n0\"]"),
        "5: network.overlay.n0: \"n0\" stands here twice"
    );
}

#[test]
fn nodes_are_counted_or_named() {
    let error = |nodes: &str| {
        let text = format!("duration = \"1s\"\nnodes = {nodes}\n");
        Scenario::from_toml("x", &text).unwrap_err().to_string()
    };
    let bound = "must be a whole number from 1 to 10000, or a list of so many names";
    assert_eq!(error("0"), format!("x.toml:2: nodes: {bound}, not 0"));
    assert_eq!(
        error("10001"),
        format!("x.toml:2: nodes: {bound}, not 10001")
    );
    assert_eq!(
        error("\"five\""),
        format!("x.toml:2: nodes: {bound}, not \"five\"")
    );
    assert_eq!(error("[]"), format!("x.toml:2: nodes: {bound}, not a list"));
    assert_eq!(
        error("[\"a\", \"a\"]"),
        "x.toml:2: nodes: \"a\" stands here twice"
    );
    let missing = Scenario::from_toml("x", "nodes = 3").unwrap_err();
    assert_eq!(missing.to_string(), "x.toml:1: duration is missing");
}

#[test]
fn what_is_too_large_for_memory_is_refused_before_it_starts() {
    let text = "duration = \"60s\"\nnodes = 5000\n[workload]\nkeys = 100\n";
    assert_eq!(
        Scenario::from_toml("x", text).unwrap_err().to_string(),
        "x.toml:2: 5000 nodes that each keep 515000 entries need about 698518 MiB, at most 5120 MiB are allowed"
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let error = error("[network]\nloss = \n");
    assert!(error.starts_with("5: "), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Scenario::read(Path::new("nowhere/x.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read nowhere/x.toml");
}

/// What [`Scenario::to_toml`] writes is what the shrinker leaves behind: it must be the scenario that failed.
#[test]
fn written_files_say_the_same() {
    for seed in 0..300 {
        let scenario = generated(seed);
        let text = scenario.to_toml();
        let read = Scenario::from_toml(&scenario.name, &text)
            .unwrap_or_else(|error| panic!("{error} in\n{text}"));
        assert_eq!(read, scenario, "{text}");
    }
}

/// A scenario with everything in it that there is, drawn from a seed.
fn generated(seed: u64) -> Scenario {
    let mut draws = Draws::new(seed, 0, Purpose::Chaos);
    let draws = &mut draws;
    let count = 2 + draws.below(6) as usize;
    let mut scenario = Scenario::new("generated", count, 1 + draws.below(100_000_000));
    scenario.seed = draws.below(1 << 40);
    if draws.below(2) == 0 {
        scenario.nodes = (0..count)
            .map(|node| format!("büro \"{node}\" 1.2"))
            .collect();
    }
    if draws.below(2) == 0 {
        scenario.about = "tab\there, \\ and 'quotes'".to_owned();
        scenario.settle_us = 1 + draws.below(1 << 40);
        scenario.mailboxes = crate::proto::Merge::Sum;
        scenario.gossip = None;
        if draws.below(2) == 0 {
            scenario.gossip = Some(crate::sim::gossip::Params {
                mesh_n: 7,
                phase_us: 0,
                flood_publish: false,
                backoff_slack: 2,
                heartbeat_us: 700_000,
                ..Default::default()
            });
        }
        scenario.timing = crate::proto::Preset::Local.timing();
        scenario.timing.sync = std::time::Duration::from_micros(100_000 + draws.below(1 << 30));
        scenario.limits.graves = 1 + draws.below(1_000) as usize;
        scenario.network.bandwidth = Some(1 + draws.below(1 << 40));
        scenario.network.loss = chance(draws);
        scenario.network.burst = Some(burst(draws));
        scenario.network.dial = 1 + draws.below(5) as usize;
        scenario.network.redial_us = 1 + draws.below(1 << 30);
    }
    scenario.network.latency = latency(draws);
    if draws.below(2) == 0 {
        let regions = 1 + draws.below(3) as usize;
        // The first nodes fill the regions, so that none is empty.
        let of = |node: usize| node % regions.min(count);
        scenario.network.regions = Some(crate::sim::Regions {
            names: (0..regions.min(count)).map(|r| format!("r{r}")).collect(),
            of: (0..count).map(of).collect(),
            one_way_us: (0..regions.min(count))
                .map(|_| {
                    (0..regions.min(count))
                        .map(|_| draws.below(3) * 1_500)
                        .collect()
                })
                .collect(),
        });
        scenario.network.overlay = Some((1..count).map(|node| (0, node)).collect());
    }
    if draws.below(2) == 0 {
        scenario.workload.every_us = None;
        scenario.workload.adds = Some(1 + draws.below(9));
        scenario.workload.keys = 0;
        scenario.workload.batch = 3;
        scenario.workload.shared = chance(draws);
    }
    for _ in 0..draws.below(8) {
        let at_us = draws.below(scenario.duration_us);
        let left = scenario.duration_us - at_us;
        let until_us = (draws.below(3) > 0).then(|| at_us + 1 + draws.below(left));
        let verb = verb(draws, count);
        scenario.faults.push(Fault {
            at_us,
            until_us,
            verb,
        });
    }
    scenario.faults.sort_by_key(|fault| fault.at_us);
    scenario
}

fn chance(draws: &mut Draws) -> Chance {
    Chance(draws.below(1_000_001) as u32)
}

fn burst(draws: &mut Draws) -> crate::sim::Burst {
    crate::sim::Burst {
        enter: chance(draws),
        leave: chance(draws),
        loss: chance(draws),
    }
}

fn latency(draws: &mut Draws) -> Latency {
    let least_us = 1 + draws.below(1 << 20);
    match draws.below(4) {
        0 => Latency::Constant(least_us),
        1 => Latency::Uniform(least_us, least_us + draws.below(1 << 20)),
        2 => Latency::Exponential {
            least_us,
            mean_us: 1 + draws.below(1 << 20),
        },
        _ => Latency::Pareto {
            least_us,
            shape_milli: 1 + draws.below(5_000),
            most_us: least_us + draws.below(1 << 20),
        },
    }
}

fn verb(draws: &mut Draws, nodes: usize) -> Verb {
    let node = draws.below(nodes as u64) as usize;
    let other = (node + 1) % nodes;
    match draws.below(19) {
        0 => Verb::Partition(vec![vec![node], vec![other]]),
        1 => Verb::OneWay(vec![node], vec![other]),
        2 => Verb::Bridge(node),
        3 => Verb::Ring,
        4 => Verb::Isolate(node),
        5 => Verb::Hold(vec![node], vec![other]),
        6 => Verb::Crash {
            node,
            disk: [Disk::Kept, Disk::Lost, Disk::Old][draws.below(3) as usize],
            power: draws.below(2) == 0,
        },
        7 => Verb::Leave(node),
        8 => Verb::Pause(node),
        9 => Verb::Loss(chance(draws)),
        10 => Verb::Burst(burst(draws)),
        11 => Verb::Duplicate(chance(draws)),
        12 => Verb::Reorder(chance(draws)),
        13 => Verb::Latency(latency(draws)),
        14 => Verb::Bandwidth(1 + draws.below(1 << 50)),
        15 => Verb::Clock {
            node,
            offset_ms: draws.below(1 << 42).cast_signed() - (1 << 40),
            drift_ppm: draws.below(3).cast_signed() * 250 - 250,
        },
        16 => Verb::Clone(node),
        17 => Verb::Garbage(chance(draws)),
        _ => Verb::Replay(chance(draws)),
    }
}
