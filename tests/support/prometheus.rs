//! A real Prometheus that scrapes one node, and what its text says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::process::{PATIENCE, request_in_full, wait_for};

/// Whether Prometheus is installed. Where it is not, that is said on the real standard error, and is a failure where
/// `MESH_TESTS_REQUIRE` names `prometheus`.
pub fn is_installed(test: &str) -> bool {
    let runs = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    if runs("prometheus") && runs("promtool") {
        return true;
    }
    let problem = "Prometheus is not installed (Debian: prometheus)";
    let required = std::env::var("MESH_TESTS_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|word| word.trim() == "prometheus"),
        "{test}: {problem}"
    );
    // The harness swallows what `eprintln!` says in a test that passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {problem}");
    false
}

/// Ended when dropped.
pub struct Prometheus {
    server: Child,
    http: SocketAddr,
    _folder: TempDir,
}

/// What a query finds: a row of labels, and its value.
pub type Rows = Vec<(BTreeMap<String, String>, f64)>;

impl Prometheus {
    /// Scrapes `node` as the job `presence-mesh`, four times a second, under these rules.
    pub fn start(node: SocketAddr, rules: &Path) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let config = folder.path().join("prometheus.yml");
        let rules = rules.display();
        fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 250ms, evaluation_interval: 250ms}}\n\
                 rule_files: [\"{rules}\"]\n\
                 scrape_configs:\n\
                 - job_name: presence-mesh\n  \
                   static_configs: [{{targets: [\"{node}\"]}}]\n"
            ),
        )
        .expect("a writable folder");
        // It cannot be asked for a free port: one that was free an instant ago is.
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let http = free.local_addr().expect("a bound listener has an address");
        drop(free);
        let log = fs::File::create(folder.path().join("log")).expect("a writable folder");
        let server = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={http}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus runs");
        let prometheus = Self {
            server,
            http,
            _folder: folder,
        };
        wait_for("Prometheus to be ready", PATIENCE, || {
            std::net::TcpStream::connect(http).ok()?;
            (prometheus.get("/-/ready").0 == 200).then_some(())
        });
        prometheus
    }

    /// The rows of an instant query.
    ///
    /// # Panics
    /// When Prometheus does not take the query.
    pub fn query(&self, query: &str) -> Rows {
        let (status, body) = self.get(&format!("/api/v1/query?query={}", percent(query)));
        assert_eq!(status, 200, "{query}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let rows = answer["data"]["result"].as_array().expect("a vector");
        let labels = |row: &Value| {
            let labels = row["metric"].as_object().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            labels
                .map(|(name, value)| (name.clone(), text(value)))
                .collect()
        };
        let value = |row: &Value| {
            let text = row["value"][1].as_str().expect("a number in quotes");
            text.parse().expect("a number")
        };
        rows.iter().map(|row| (labels(row), value(row))).collect()
    }

    /// Waits until the query has one row, for which `wanted` holds.
    pub fn await_value(&self, query: &str, wanted: impl Fn(f64) -> bool) {
        wait_for(query, PATIENCE, || match self.query(query).as_slice() {
            [(_, value)] if wanted(*value) => Some(()),
            _ => None,
        });
    }

    /// What kept the last scrape from being taken, if anything did.
    pub fn scrape_error(&self) -> String {
        let (_, body) = self.get("/api/v1/targets");
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        answer["data"]["activeTargets"][0]["lastError"].to_string()
    }

    fn get(&self, path: &str) -> (u16, String) {
        let (status, head, body) = request_in_full(self.http, "GET", path, &[], b"");
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        (status, if chunked { joined(&body) } else { body })
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn joined(mut chunks: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap_or_default();
        if length == 0 {
            break;
        }
        whole.push_str(&rest[..length]);
        chunks = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// One line of the text: a name, its labels, a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// OpenMetrics text, read strictly: as far as nodes write it.
#[derive(Debug)]
pub struct Exposition {
    /// The type of each family.
    pub families: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}

impl Exposition {
    /// # Panics
    /// When the text is no OpenMetrics.
    pub fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
        let mut read = Self {
            families: BTreeMap::new(),
            samples: Vec::new(),
        };
        let mut family = String::new();
        let mut seen = BTreeSet::new();
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let (word, rest) = comment.split_once(' ').expect(line);
                let (name, rest) = rest.split_once(' ').expect(line);
                match word {
                    "HELP" => {
                        family = name.to_owned();
                        assert!(!read.families.contains_key(name), "twice: {line}");
                    }
                    "TYPE" => {
                        assert_eq!(family, name, "{line}");
                        read.families.insert(family.clone(), rest.to_owned());
                    }
                    "UNIT" => {
                        assert_eq!(family, name, "{line}");
                        assert!(name.ends_with(&format!("_{rest}")), "{line}");
                    }
                    _ => panic!("{line}"),
                }
                continue;
            }
            let sample = sample(line);
            let suffixes: &[&str] = match read.families[&family].as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_sum", "_count", "_bucket"],
                other => panic!("a family of type {other}"),
            };
            let fits = |suffix: &&str| sample.name.strip_suffix(*suffix) == Some(&*family);
            assert!(suffixes.iter().any(fits), "not of {family}: {line}");
            let identity = line.rsplit_once(' ').expect("a value").0;
            assert!(seen.insert(identity.to_owned()), "twice: {line}");
            read.samples.push(sample);
        }
        read.check_histograms();
        read
    }

    fn check_histograms(&self) {
        let histograms = self
            .families
            .iter()
            .filter(|(_, kind)| *kind == "histogram");
        for (family, _) in histograms {
            let bucket = format!("{family}_bucket");
            let mut rows: BTreeMap<BTreeMap<String, String>, Vec<(String, f64)>> = BTreeMap::new();
            for sample in self.samples.iter().filter(|sample| sample.name == bucket) {
                let mut labels = sample.labels.clone();
                let end = labels.remove("le").expect("a bucket has an end");
                rows.entry(labels).or_default().push((end, sample.value));
            }
            for (labels, buckets) in rows {
                assert!(
                    buckets.is_sorted_by(|a, b| a.1 <= b.1),
                    "{family}: {buckets:?}"
                );
                let (end, all) = buckets.last().expect("it has one");
                assert_eq!(end, "+Inf", "{family}");
                let count = self.samples.iter().find(|sample| {
                    sample.name == format!("{family}_count") && sample.labels == labels
                });
                assert_eq!(Some(*all), count.map(|sample| sample.value), "{family}");
            }
        }
    }

    /// The sum of all samples of this name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            let has = |(label, value): &(&str, &str)| {
                sample
                    .labels
                    .get(*label)
                    .is_some_and(|found| found == value)
            };
            sample.name == name && labels.iter().all(has)
        };
        self.samples
            .iter()
            .filter(fits)
            .map(|sample| sample.value)
            .sum()
    }
}

fn sample(line: &str) -> Sample {
    let (identity, value) = line.rsplit_once(' ').expect(line);
    let (name, labels) = identity.split_once('{').unwrap_or((identity, "}"));
    let labels = labels.strip_suffix('}').expect(line);
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(!name.is_empty() && name.chars().all(legal), "{line}");
    let labels = labels.split(',').filter(|label| !label.is_empty());
    let label = |text: &str| {
        let (name, value) = text.split_once('=').expect(line);
        assert!(name.chars().all(legal), "{line}");
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        let value = value.expect(line);
        assert!(!value.contains(['"', '\\']), "{line}");
        (name.to_owned(), value.to_owned())
    };
    Sample {
        name: name.to_owned(),
        labels: labels.map(label).collect(),
        value: value.parse().expect(line),
    }
}
