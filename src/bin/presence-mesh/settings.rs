//! What a node is told: by flags, else by the environment, else by the file, else by default.
//!
//! [`schema`] lists every key once; the three sources all set it there.

mod environment;
mod file;
mod given;
mod schema;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use presence_mesh::{Limits, MAX_KEY_BYTES, MAX_VALUE_BYTES, Merge, Preset, ReplicaId, Timing};

use crate::cli::{AsteriskArgs, AsteriskToolArgs, RunArgs};
use crate::{exit, output};
use given::Given;
pub use schema::name;

/// What a node is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub mesh: Option<String>,
    pub node: Option<String>,
    pub key_file: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    /// A directory of people, see [`crate::people::read`].
    pub people_file: Option<PathBuf>,
    pub listen: Vec<String>,
    pub join: Vec<String>,
    pub preset: Preset,
    pub mdns: bool,
    pub kad: bool,
    /// `None`: off.
    pub http: Option<String>,
    pub limits: Limits,
    /// The longest key HTTP takes, at most [`MAX_KEY_BYTES`].
    pub key_bytes: usize,
    /// The longest value HTTP takes, at most [`MAX_VALUE_BYTES`].
    pub value_bytes: usize,
    timing: TimingGiven,
    pub allow: Vec<ReplicaId>,
    pub ban: Vec<ReplicaId>,
    pub merge: Merge,
    /// `None`: there is no bridge.
    pub asterisk: Option<AsteriskSettings>,
}

/// Timings that differ from the preset's.
#[derive(Debug, Clone, PartialEq, Default)]
struct TimingGiven {
    beat: Option<Duration>,
    stale_after: Option<Duration>,
    gone_after: Option<Duration>,
    forget_after: Option<Duration>,
    sync: Option<Duration>,
    retry: Option<Duration>,
    tombstone: Option<Duration>,
    max_clock_drift: Option<Duration>,
    remember: Option<Duration>,
}

/// What the bridge to Asterisk is told.
#[derive(Debug, Clone, PartialEq)]
pub struct AsteriskSettings {
    pub listen: String,
    pub server: Option<String>,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    /// `None`: all but `MWI:*` and `Local/*`.
    pub export: Option<Vec<String>>,
    pub import: Vec<String>,
}

/// Something wrong in what a node is told, and where: `presence-mesh.toml:3`, `PRESENCE_MESH_JOIN`, `--listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub place: String,
    pub message: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesh: None,
            node: None,
            key_file: None,
            data_dir: None,
            people_file: None,
            listen: vec!["0.0.0.0:4747".to_owned()],
            join: Vec::new(),
            preset: Preset::Lan,
            mdns: true,
            kad: false,
            http: Some("127.0.0.1:4780".to_owned()),
            limits: Limits::default(),
            key_bytes: MAX_KEY_BYTES,
            value_bytes: MAX_VALUE_BYTES,
            timing: TimingGiven::default(),
            allow: Vec::new(),
            ban: Vec::new(),
            merge: Merge::Latest,
            asterisk: None,
        }
    }
}

impl Default for AsteriskSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:5099".to_owned(),
            server: None,
            username: None,
            password_file: None,
            export: None,
            import: vec!["*".to_owned()],
        }
    }
}

impl Settings {
    /// What `run` is told, by all sources. Warnings go to the log.
    pub fn for_run(args: &RunArgs) -> anyhow::Result<Self> {
        let mut flags = Vec::new();
        for (flag, key, value) in [
            ("--mesh", "mesh", &args.mesh),
            ("--node", "node", &args.node),
            ("--key-file", "key_file", &args.key_file),
            ("--data-dir", "data_dir", &args.data_dir),
            ("--mdns", "discovery.mdns", &args.mdns),
            ("--kad", "discovery.kad", &args.kad),
            ("--preset", "preset", &args.preset),
            ("--http", "http.listen", &args.http),
            ("--remember", "events.remember", &args.remember),
        ] {
            flags.extend(Flag::given(flag, key, value.as_ref()));
        }
        flags.extend(Flag::given("--listen", "listen", &args.listen));
        flags.extend(Flag::given("--join", "join", &args.join));
        flags.extend(asterisk_flags(&args.asterisk));
        Self::load(args.config.file.as_deref(), &flags)
    }

    /// What the tools of the bridge are told.
    pub fn for_asterisk_tool(args: &AsteriskToolArgs) -> anyhow::Result<Self> {
        let mut flags: Vec<_> = asterisk_flags(&args.asterisk).collect();
        flags.extend(Flag::given(
            "--data-dir",
            "data_dir",
            args.data_dir.as_ref(),
        ));
        Self::load(args.config.file.as_deref(), &flags)
    }

    /// What `doctor` looks at: what a `run` with this file and environment would be told.
    pub fn for_doctor(file: Option<&Path>) -> anyhow::Result<Self> {
        Self::load(file, &[])
    }

    fn load(file: Option<&Path>, flags: &[Flag]) -> anyhow::Result<Self> {
        let text = match file {
            Some(path) => Some((path, read(path)?)),
            None => None,
        };
        let file = text.as_ref().map(|(path, text)| (*path, text.as_str()));
        let (settings, warnings) =
            Self::merge(file, std::env::vars_os(), flags).map_err(|all| refused(&all))?;
        for warning in warnings {
            tracing::warn!(variable = warning.place, "{}", warning.message);
        }
        Ok(settings)
    }

    /// All sources together: the later ones win.
    fn merge(
        file: Option<(&Path, &str)>,
        variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
        flags: &[Flag],
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        if let Some((path, text)) = file {
            file::apply(&mut settings, path, text, &mut problems);
        }
        let warnings = environment::apply(&mut settings, variables, &mut problems);
        for Flag { flag, key, values } in flags {
            let entry = schema::find(key).expect("flags are named after keys of the schema");
            let given = if entry.is_list() {
                Given::Texts(values)
            } else {
                Given::Text(&values[0])
            };
            if let Err(message) = entry.apply(&mut settings, given, None) {
                problems.push(Problem {
                    place: (*flag).to_owned(),
                    message,
                });
            }
        }
        if problems.is_empty() {
            // Only together can these be judged; the place is the whole.
            if let Err(error) = settings.timing().check() {
                let place = file.map_or_else(
                    || "timing".to_owned(),
                    |(path, _)| path.display().to_string(),
                );
                problems.push(Problem {
                    place,
                    message: format!("[timing] {error}"),
                });
            }
        }
        if problems.is_empty() {
            Ok((settings, warnings))
        } else {
            Err(problems)
        }
    }

    /// The settings of a file alone.
    #[cfg(test)]
    pub fn from_text(text: &str, path: &Path) -> Result<Self, Vec<Problem>> {
        Self::merge(Some((path, text)), [], &[]).map(|(settings, _)| settings)
    }

    /// The preset's timings, and what was given over them.
    pub fn timing(&self) -> Timing {
        let mut timing = self.preset.timing();
        let given = &self.timing;
        for (timing, given) in [
            (&mut timing.beat, given.beat),
            (&mut timing.stale_after, given.stale_after),
            (&mut timing.gone_after, given.gone_after),
            (&mut timing.forget_after, given.forget_after),
            (&mut timing.sync, given.sync),
            (&mut timing.retry, given.retry),
            (&mut timing.tombstone, given.tombstone),
            (&mut timing.max_clock_drift, given.max_clock_drift),
            (&mut timing.remember, given.remember),
        ] {
            *timing = given.unwrap_or(*timing);
        }
        timing
    }

    /// The mesh's name, which has no default.
    pub fn mesh_name(&self) -> anyhow::Result<&str> {
        self.mesh.as_deref().ok_or_else(|| {
            exit::usage("no mesh is named: give --mesh NAME, or --config FILE with mesh = \"NAME\"")
        })
    }

    /// What people call the node: by default what they call the host.
    pub fn node_name(&self) -> String {
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = || {
            host()
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
        };
        self.node
            .clone()
            .or_else(host)
            .unwrap_or_else(|| "node".to_owned())
    }

    /// Where the node keeps what must survive a restart. Never shared by default between two nodes of other
    /// names: two nodes must not have one identity.
    pub fn data_folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let state = variable("XDG_STATE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
            .unwrap_or_else(|| PathBuf::from("."));
        // A name may hold a slash, or be two dots.
        let folder = |name: &str| {
            percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        Ok(state
            .join("presence-mesh")
            .join(folder(self.mesh_name()?))
            .join(folder(&self.node_name())))
    }
}

/// A flag of the command line, and the key it sets.
#[derive(Debug)]
struct Flag {
    flag: &'static str,
    key: &'static str,
    /// At least one.
    values: Vec<String>,
}

impl Flag {
    fn given<'a>(
        flag: &'static str,
        key: &'static str,
        values: impl IntoIterator<Item = &'a String>,
    ) -> Option<Self> {
        let values: Vec<String> = values.into_iter().cloned().collect();
        if values.is_empty() {
            None
        } else {
            Some(Self { flag, key, values })
        }
    }
}

fn asterisk_flags(args: &AsteriskArgs) -> impl Iterator<Item = Flag> {
    [
        Flag::given(
            "--asterisk-listen",
            "asterisk.listen",
            args.asterisk_listen.as_ref(),
        ),
        Flag::given(
            "--asterisk-server",
            "asterisk.server",
            args.asterisk_server.as_ref(),
        ),
    ]
    .into_iter()
    .flatten()
}

/// `config check`: prints ok, or every problem.
pub fn check(path: &Path) -> anyhow::Result<()> {
    let text = read(path)?;
    Settings::merge(Some((path, &text)), [], &[]).map_err(|all| refused(&all))?;
    output::line("ok")
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(|error| exit::usage(format!("{error:#}")))
}

fn refused(problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.place, problem.message))
        .collect();
    exit::usage(format!("bad configuration\n{}", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Parser as _;

    use super::*;

    const FILE: &str =
        "mesh = \"acme\"\nnode = \"berlin\"\njoin = [\"a:1\"]\n[discovery]\nkad = true\n";

    fn merge(
        text: &str,
        variables: &[(&str, &str)],
        flags: &[(&'static str, &'static str, &str)],
    ) -> Result<Settings, Vec<Problem>> {
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let flags: Vec<_> = flags
            .iter()
            .map(|&(flag, key, value)| Flag {
                flag,
                key,
                values: vec![value.to_owned()],
            })
            .collect();
        let file = Some((Path::new("/etc/pm/pm.toml"), text));
        Settings::merge(file, variables.collect::<Vec<_>>(), &flags).map(|(settings, _)| settings)
    }

    #[test]
    fn flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults() {
        let settings = merge(FILE, &[], &[]).unwrap();
        assert_eq!(
            (settings.node.as_deref(), settings.kad, settings.mdns),
            (Some("berlin"), true, true)
        );
        let environment = [
            ("PRESENCE_MESH_NODE", "paris"),
            ("PRESENCE_MESH_DISCOVERY_KAD", "off"),
        ];
        let settings = merge(FILE, &environment, &[]).unwrap();
        assert_eq!(
            (settings.node.as_deref(), settings.kad),
            (Some("paris"), false)
        );
        let settings = merge(
            FILE,
            &environment,
            &[("--node", "node", "oslo"), ("--kad", "discovery.kad", "on")],
        )
        .unwrap();
        assert_eq!(
            (settings.node.as_deref(), settings.kad),
            (Some("oslo"), true)
        );
    }

    #[test]
    fn lists_are_replaced_and_never_mixed() {
        let settings = merge(FILE, &[("PRESENCE_MESH_JOIN", "b:2, c:3")], &[]).unwrap();
        assert_eq!(settings.join, ["b:2", "c:3"]);
        assert_eq!(
            merge(FILE, &[], &[("--join", "join", "d:4")]).unwrap().join,
            ["d:4"]
        );
        assert_eq!(
            merge(FILE, &[("PRESENCE_MESH_JOIN", "")], &[])
                .unwrap()
                .join,
            [""; 0]
        );
    }

    #[test]
    fn paths_in_a_file_start_at_its_folder_others_where_we_stand() {
        let settings = merge("key_file = \"mesh.key\"\ndata_dir = \"/var/x\"", &[], &[]).unwrap();
        assert_eq!(
            settings.key_file.as_deref(),
            Some(Path::new("/etc/pm/mesh.key"))
        );
        assert_eq!(settings.data_dir.as_deref(), Some(Path::new("/var/x")));
        let settings = merge(
            "key_file = \"mesh.key\"",
            &[("PRESENCE_MESH_KEY_FILE", "a.key")],
            &[],
        )
        .unwrap();
        assert_eq!(settings.key_file.as_deref(), Some(Path::new("a.key")));
    }

    #[test]
    fn a_timing_overrides_the_preset_and_must_fit_it() {
        let settings = merge("preset = \"wan\"\n[timing]\ngone_after = \"1m\"", &[], &[]).unwrap();
        let timing = settings.timing();
        assert_eq!(
            (timing.stale_after, timing.gone_after),
            (Duration::from_secs(5), Duration::from_secs(60))
        );
        let problems = merge("[timing]\nstale_after = \"1s\"", &[], &[]).unwrap_err();
        assert!(problems[0].message.contains("stale_after"), "{problems:?}");
    }

    #[test]
    fn a_bad_flag_is_named_as_it_was_typed() {
        let problems = merge(
            "",
            &[],
            &[
                ("--mdns", "discovery.mdns", "perhaps"),
                ("--http", "http.listen", "x"),
            ],
        );
        let places: Vec<String> = problems
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.place)
            .collect();
        assert_eq!(places, ["--mdns", "--http"]);
    }

    #[test]
    fn every_flag_names_a_key() {
        let cli = crate::cli::Cli::try_parse_from(
            "presence-mesh run --mesh a --node b --key-file c --data-dir d --listen 0.0.0.0:1 --join e:1 --mdns on \
             --kad on --preset wan --http off --asterisk-listen f:1 --asterisk-server sip:a@b"
                .split_whitespace(),
        );
        let crate::cli::Command::Run(args) = cli.unwrap().command else {
            panic!("not run")
        };
        let settings = Settings::for_run(&args).unwrap();
        assert_eq!(
            (settings.http, settings.preset, settings.kad),
            (None, Preset::Wan, true)
        );
        assert_eq!(
            (settings.listen, settings.join),
            (vec!["0.0.0.0:1".to_owned()], vec!["e:1".to_owned()])
        );
        assert_eq!(
            settings.asterisk.unwrap().server.as_deref(),
            Some("sip:a@b")
        );
    }

    #[test]
    fn the_bridge_exists_once_something_is_said_of_it() {
        assert_eq!(merge("", &[], &[]).unwrap().asterisk, None);
        let asterisk = merge("[asterisk]\nusername = \"mesh\"", &[], &[])
            .unwrap()
            .asterisk
            .unwrap();
        assert_eq!(asterisk.listen, "127.0.0.1:5099");
        assert_eq!(asterisk.username.as_deref(), Some("mesh"));
    }

    #[test]
    fn two_nodes_of_one_host_get_two_folders() {
        let folder = |node: &str| {
            let settings = Settings {
                mesh: Some("acme".into()),
                node: Some(node.into()),
                ..Settings::default()
            };
            settings.data_folder().unwrap()
        };
        assert_ne!(folder("berlin"), folder("paris"));
        assert!(!folder("../../etc").display().to_string().contains(".."));
    }
}
