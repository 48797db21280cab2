//! The command line.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use presence_mesh::{DeviceState, FieldValue, PresenceStatus};

use crate::{address, exit, logs, settings, span};

/// Shares the lamps and message counts of phone servers, without a coordinator.
#[derive(Debug, Parser)]
#[command(name = "presence-mesh", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  presence-mesh demo                                    five nodes on this machine, with phones that ring
  presence-mesh init --dir /etc/presence-mesh --mesh acme --node berlin
  presence-mesh run --config /etc/presence-mesh/presence-mesh.toml
  presence-mesh set device Custom:night INUSE
  presence-mesh devices 'PJSIP/*'
  presence-mesh explain device PJSIP/100
  presence-mesh top                                     a running node on the screen
  presence-mesh sim run simulations/split-heal.toml     a cut of the network in virtual time, judged

Exit codes: 0 ok, 1 failed, 2 usage, 3 not ready or no node answers, 4 not found.
Results go to stdout, everything else to stderr.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run five nodes on this machine, with phones, a cut of the network, and a heal
    Demo(DemoArgs),
    /// Write the keys and the configuration of a new node
    Init(InitArgs),
    /// Ask the running node for an invite: a line that lets one new node into the mesh
    Invite(InviteArgs),
    /// Take an invite from stdin, fetch the mesh's key, and write the keys and the configuration of a new node
    Join(JoinArgs),
    /// Run a node
    Run(Box<RunArgs>),
    /// Say what this node knows of a device, a mailbox, a person, or anything
    Set(SetArgs),
    /// Withdraw what this node said
    Clear(ClearArgs),
    /// List devices
    Devices(ListArgs),
    /// List mailboxes
    Mailboxes(ListArgs),
    /// List who says to be reachable
    Presence(ListArgs),
    /// List the custom values of a namespace
    Custom(CustomArgs),
    /// Follow changes until stopped
    Watch(WatchArgs),
    /// Publish an event, or follow them
    #[command(subcommand)]
    Events(EventsCommand),
    /// Tell why a key shows what it shows
    Explain(ExplainArgs),
    /// Tell how the node is doing; exit code 3 when it is not ready
    Status(ReadArgs),
    /// List the other nodes
    Peers(ReadArgs),
    /// Ask every node to answer, and tell who did and how quickly
    Ping(ReadArgs),
    /// Tell what is wrong with this node, its mesh and its PBX, and how to mend it; exit code 1 when something is
    Doctor(DoctorArgs),
    /// Watch a node on the screen: nodes, lamps, messages, events
    Top(TopArgs),
    /// Run simulations of network partitions, and replay what went wrong
    #[command(subcommand)]
    Sim(SimCommand),
    /// The bridge to Asterisk
    #[command(subcommand)]
    Asterisk(AsteriskCommand),
    /// The configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write what packages are made of
    #[command(subcommand, hide = true)]
    Generate(GenerateCommand),
}

#[derive(Debug, Subcommand)]
pub enum GenerateCommand {
    /// Write a manual page for each command
    Man {
        /// The folder, made when absent
        dir: PathBuf,
    },
    /// Print completions of the command line
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// Which node to talk to.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The node's HTTP address
    #[arg(
        long = "http",
        value_name = "ADDR",
        env = "PRESENCE_MESH_HTTP",
        default_value = "127.0.0.1:4780",
        value_parser = address::parse
    )]
    pub address: String,
}

/// What every read takes.
#[derive(Debug, Args)]
pub struct ReadArgs {
    #[command(flatten)]
    pub target: Target,
    /// Print the node's answer as JSON, unchanged
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  presence-mesh devices 'PJSIP/1*'\n  presence-mesh mailboxes '*@default' --json"
)]
pub struct ListArgs {
    /// A glob: * is any run of characters, ? is one
    pub pattern: Option<String>,
    #[command(flatten)]
    pub read: ReadArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  presence-mesh custom queues 'sales*'\n  presence-mesh custom --per-origin load"
)]
pub struct CustomArgs {
    /// The namespace
    pub namespace: String,
    /// The values of which each node has its own
    #[arg(long)]
    pub per_origin: bool,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  presence-mesh watch\n  presence-mesh watch --space mailbox '100@*' --json\n  presence-mesh watch --space custom --namespace queues\n\n\
                  With --json each line is {\"event\":\"snapshot\"|\"change\",\"space\",\"key\",\"old\",\"new\"}: first what there is,\n\
                  one line a key, then what changes. Exits with 3 when the node no longer answers."
)]
pub struct WatchArgs {
    /// What to follow
    #[arg(long, value_enum, default_value_t = SpaceName::Device)]
    pub space: SpaceName,
    /// Which custom values to follow
    #[arg(long, value_name = "NAME", required_if_eq_any([("space", "custom"), ("space", "custom-per-origin")]))]
    pub namespace: Option<String>,
    /// A glob: * is any run of characters, ? is one
    pub pattern: Option<String>,
    #[command(flatten)]
    pub read: ReadArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Keys: e explain, / filter, r report, ? help, q quit. A lost node is said so at once, and looked for again.\n\
                  Without a terminal, and with --plain, changes are printed as lines.\n\n\
                  Examples:\n  presence-mesh top\n  presence-mesh top --http 10.0.0.7:4780 --ascii"
)]
pub struct TopArgs {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub looks: LooksArgs,
}

/// How a panel is to look.
#[derive(Debug, Args)]
pub struct LooksArgs {
    /// Print lines instead of painting the screen
    #[arg(long)]
    pub plain: bool,
    /// Paint with ASCII alone [default: as the locale says]
    #[arg(long)]
    pub ascii: bool,
}

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Tell all nodes that something happened
    #[command(
        after_help = "Example: presence-mesh events publish call.parked --field slot=701 --field caller=PJSIP/100"
    )]
    Publish(EventsPublishArgs),
    /// Follow events until stopped
    #[command(after_help = EVENTS_HELP)]
    Subscribe(EventsSubscribeArgs),
}

const EVENTS_HELP: &str = "\
Examples:
  presence-mesh events subscribe --kind 'call.*' --where 'slot >= 700' --where 'caller ^= PJSIP/'
  presence-mesh events subscribe --json

With --json each line is an event, {\"kind\",\"node\",\"replica\",\"seq\",\"at\",\"fields\",\"incarnation\"}, or
{\"gap\":{\"reason\",\"missed\",…}} where some were missed. Exits with 3 when the node no longer answers.";

#[derive(Debug, Args)]
pub struct EventsPublishArgs {
    /// What kind of event, such as call.parked
    pub kind: String,
    /// NAME=VALUE; an integer if VALUE is one, else a text; may be repeated
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = field)]
    pub fields: Vec<(String, FieldValue)>,
    /// For how long it is worth delivering, such as 45s [default: 60s, or as long as the node remembers events]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub ttl: Option<Duration>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, Args)]
pub struct EventsSubscribeArgs {
    /// Only kinds that match this glob: * is any run of characters, ? is one
    #[arg(long, value_name = "GLOB")]
    pub kind: Option<String>,
    /// Only events of which this holds; OP is one of = != >= <= ^= (begins with); may be repeated, all must hold
    #[arg(long = "where", value_name = "NAME OP VALUE", value_parser = condition)]
    pub conditions: Vec<String>,
    /// Also what was published before, as far as the node remembers it
    #[arg(long)]
    pub remembered: bool,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Reads `slot=701`.
fn field(text: &str) -> Result<(String, FieldValue), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected NAME=VALUE, as in slot=701")?;
    Ok((name.to_owned(), FieldValue::from_text(value)))
}

/// Lets through what the node will take.
fn condition(text: &str) -> Result<String, String> {
    let parsed = text.parse::<presence_mesh::Condition>();
    parsed
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpaceName {
    Device,
    Mailbox,
    Presence,
    Custom,
    /// Custom values, each node's apart
    CustomPerOrigin,
}

impl SpaceName {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Mailbox => "mailbox",
            Self::Presence => "presence",
            Self::Custom => "custom",
            Self::CustomPerOrigin => "custom-per-origin",
        }
    }
}

/// Which key is meant.
#[derive(Debug, Args)]
pub struct KeyArgs {
    pub space: SpaceName,
    /// The key; of a custom value, its namespace and its key
    #[arg(required = true, num_args = 1..=2, value_names = ["KEY"], allow_hyphen_values = false)]
    pub names: Vec<String>,
}

impl KeyArgs {
    /// The namespace, and the key.
    pub fn parts(&self) -> anyhow::Result<(Option<&str>, &str)> {
        match (self.space, self.names.as_slice()) {
            (SpaceName::Custom | SpaceName::CustomPerOrigin, [namespace, key]) => {
                Ok((Some(namespace), key))
            }
            (SpaceName::Custom | SpaceName::CustomPerOrigin, _) => Err(exit::usage(
                "a custom value is named by its namespace and its key",
            )),
            (_, [key]) => Ok((None, key)),
            (space, _) => Err(exit::usage(format!(
                "one key is expected after {}",
                space.as_str()
            ))),
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  presence-mesh explain device PJSIP/100\n  presence-mesh explain mailbox 100 --json\n  presence-mesh explain custom queues sales"
)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    #[command(flatten)]
    pub read: ReadArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  presence-mesh set device Custom:night INUSE\n  presence-mesh set mailbox 100 3 1\n  \
                  presence-mesh set presence alice dnd --message 'in a meeting'\n  \
                  presence-mesh set custom queues sales '{\"waiting\":3}'"
)]
pub struct SetArgs {
    #[command(subcommand)]
    pub what: SetWhat,
}

#[derive(Debug, Subcommand)]
pub enum SetWhat {
    /// Say in which state a device is
    #[command(after_help = "Example: presence-mesh set device PJSIP/100 ringing")]
    Device {
        /// Such as PJSIP/100 or Custom:night
        key: String,
        /// UNKNOWN NOT_INUSE INUSE BUSY INVALID UNAVAILABLE RINGING RINGINUSE ONHOLD, in any case
        state: DeviceState,
        #[command(flatten)]
        target: Target,
    },
    /// Say how many messages wait in a mailbox
    #[command(after_help = "Example: presence-mesh set mailbox 100@default 3 1")]
    Mailbox {
        /// mailbox@context; without a context, default
        mailbox: String,
        /// New messages
        new: u32,
        /// Old messages
        old: u32,
        /// New urgent messages
        #[arg(default_value_t = 0, requires = "urgent_old")]
        urgent_new: u32,
        /// Old urgent messages
        #[arg(default_value_t = 0)]
        urgent_old: u32,
        #[command(flatten)]
        target: Target,
    },
    /// Say whether somebody can be reached
    #[command(
        after_help = "Example: presence-mesh set presence alice away --message 'back at two'"
    )]
    Presence {
        /// Who
        id: String,
        /// not_set unavailable available away xa chat dnd, in any case
        status: PresenceStatus,
        /// A finer word for the status
        #[arg(long, value_name = "S", default_value = "")]
        subtype: String,
        /// Words for people
        #[arg(long, value_name = "M", default_value = "")]
        message: String,
        #[command(flatten)]
        target: Target,
    },
    /// Say anything, as JSON
    #[command(after_help = "Example: presence-mesh set custom queues sales '{\"waiting\":3}'")]
    Custom {
        /// Such as queues: 1 to 64 bytes, no slash
        namespace: String,
        /// The key within it
        key: String,
        /// Any JSON of up to 4096 bytes; a text is in quotes
        #[arg(value_name = "JSON", allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        target: Target,
    },
    /// Say anything, as JSON, for this node alone: each node's own is shown apart
    #[command(
        after_help = "Example: presence-mesh set custom-per-origin load now '{\"calls\":12}'"
    )]
    CustomPerOrigin {
        /// Such as load: 1 to 64 bytes, no slash; another than that of the same name in `custom`
        namespace: String,
        /// The key within it
        key: String,
        /// Any JSON of up to 4096 bytes; a text is in quotes
        #[arg(value_name = "JSON", allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  presence-mesh clear custom queues sales\n  presence-mesh clear device Custom:night\n\nClearing what is not there succeeds. Other nodes' words stay."
)]
pub struct ClearArgs {
    #[command(flatten)]
    pub key: KeyArgs,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: presence-mesh init --dir /etc/presence-mesh --mesh acme --node berlin"
)]
pub struct InitArgs {
    /// Where to write mesh.key, identity.key and presence-mesh.toml
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Where the node is to keep its identity, made at its first start, and its state [default: DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The mesh's name: meshes with other names never mix
    #[arg(long, value_name = "NAME", value_parser = settings::name)]
    pub mesh: String,
    /// What people call this node
    #[arg(long, value_name = "NAME", value_parser = settings::name)]
    pub node: String,
}

#[derive(Debug, Args)]
#[command(after_help = INVITE_HELP)]
pub struct InviteArgs {
    /// What the new node dials to reach this one: host:port or a multiaddr
    #[arg(long = "address", value_name = "ADDR")]
    pub dialled: String,
    /// Where this machine is reached by that [default: its port, on all interfaces]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<String>,
    /// For how long it is good, at most 15m
    #[arg(long, value_name = "SPAN", default_value = "15m", value_parser = span::parse)]
    pub expires: Duration,
    #[command(flatten)]
    pub read: ReadArgs,
}

const INVITE_HELP: &str = "\
The line is good once. Until it is used, it is as secret as the mesh's key: send it as you would send a password.
Only the node's own user and root, on the node's own machine, can ask for one.

One forwarded port is enough: when the port of --address is the one at which the node listens for others (4747), the
node answers who was invited there, and the new node joins there for ever. Where a router forwards another port to it,
name both: --address office.example.net:14747 --listen 0.0.0.0:4747. At any other port the node listens until the
invite is used or expires; the new node then joins at the host of --address and the port at which the node listens
for others, which must be open, too.

Examples:
  presence-mesh invite --address berlin.example.net:4747
  presence-mesh invite --address berlin.example.net:4748 --expires 5m";

#[derive(Debug, Args)]
#[command(after_help = JOIN_HELP)]
pub struct JoinArgs {
    /// Where to write mesh.key, identity.key and presence-mesh.toml
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Where the node is to keep its identity, which is made unless there is one, and its state [default: DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What people call this node [default: the host's name]
    #[arg(long, value_name = "NAME", value_parser = settings::name)]
    pub node: Option<String>,
}

const JOIN_HELP: &str = "\
The invite comes on stdin, never as an argument: other users see those in the list of processes. Nothing that exists is
overwritten, and the invite is used only once that is sure.

Examples:
  presence-mesh join --dir /etc/presence-mesh --node paris          then paste the invite, and press Enter
  presence-mesh join --dir /etc/presence-mesh --node paris < invite.txt";

#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The mesh's name: meshes with other names never mix
    #[arg(long, value_name = "NAME")]
    pub mesh: Option<String>,
    /// What people call this node [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// The secret all nodes of the mesh share [default: mesh.key in the data folder]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<String>,
    /// Where the node keeps its identity and state [default: $XDG_STATE_HOME/presence-mesh/MESH/NODE]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Where to listen for other nodes: host:port or a multiaddr; may be repeated [default: 0.0.0.0:4747]
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// A node to join: host:port or a multiaddr; may be repeated; one live node is enough
    #[arg(long, value_name = "ADDR")]
    pub join: Vec<String>,
    /// Find nodes on the LAN [default: on]
    #[arg(long, value_name = "on|off")]
    pub mdns: Option<String>,
    /// Find nodes through nodes [default: off]
    #[arg(long, value_name = "on|off")]
    pub kad: Option<String>,
    /// How fast silence is noticed [default: lan]
    #[arg(long, value_name = "lan|wan|local")]
    pub preset: Option<String>,
    /// Where the HTTP API listens [default: 127.0.0.1:4780]
    #[arg(long, value_name = "ADDR|off")]
    pub http: Option<String>,
    /// How long events are remembered for those who missed them, such as 60s [default: 0s, not at all]
    #[arg(long, value_name = "SPAN")]
    pub remember: Option<String>,
    /// What logs look like [default: journal when stderr is systemd's journal, else text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log: Option<logs::Format>,
    #[command(flatten)]
    pub asterisk: AsteriskArgs,
}

const RUN_HELP: &str = "\
Flags come before environment variables (PRESENCE_MESH_SECTION_KEY, such as PRESENCE_MESH_DISCOVERY_MDNS=off; lists
separated by commas), those before the file, that before the defaults. Without --config no file is read.

Once all is bound, one line goes to stdout: listening mesh=ADDR[,ADDR…] http=ADDR|off replica=ID
Logs go to stderr; RUST_LOG chooses them. SIGTERM and SIGINT leave the mesh and exit 0.

Examples:
  presence-mesh run --config presence-mesh.toml
  presence-mesh run --mesh acme --node paris --key-file mesh.key --data-dir ./paris --join berlin.example.net:4747";

#[derive(Debug, Args)]
pub struct ConfigArg {
    /// The configuration file
    #[arg(long = "config", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = DOCTOR_HELP)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The PBX's configuration, to be compared with what the bridge needs
    #[arg(long, value_name = "FILE")]
    pub pjsip: Option<PathBuf>,
    /// The node's HTTP address [default: as configured]
    #[arg(long, value_name = "ADDR", env = "PRESENCE_MESH_HTTP", value_parser = address::parse)]
    pub http: Option<String>,
    /// Print {"ok","checks":[{"check","ok","detail","fix"}]}; ok is null where something could not be looked at
    #[arg(long)]
    pub json: bool,
}

const DOCTOR_HELP: &str = "\
Changes nothing. Works whether or not the node runs; without it, what can be looked at is. Run it as the node's user or
as root: others cannot read the keys. The PBX is asked for a sign of life and then to send all it knows, once a package.

Examples:
  presence-mesh doctor --config /etc/presence-mesh/presence-mesh.toml
  presence-mesh doctor --config presence-mesh.toml --pjsip /etc/asterisk/pjsip.conf --json";

#[derive(Debug, Args)]
pub struct AsteriskArgs {
    /// Where Asterisk publishes to [default: 127.0.0.1:5099 when the bridge is configured]
    #[arg(long, value_name = "ADDR")]
    pub asterisk_listen: Option<String>,
    /// Where to publish to; the user part names the inbound-publication, as in sip:mesh@127.0.0.1:5060
    #[arg(long, value_name = "SIP-URI")]
    pub asterisk_server: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// List the scenarios of a folder
    #[command(after_help = "Example: presence-mesh sim list")]
    List(SimListArgs),
    /// Run a scenario and say whether every promise was kept; exit code 1 when not
    #[command(after_help = SIM_RUN_HELP)]
    Run(SimRunArgs),
    /// Run one seed twice, tell what happened, and compare the two runs
    #[command(after_help = "Example: presence-mesh sim replay split-heal --seed 7")]
    Replay(SimReplayArgs),
}

#[derive(Debug, Args)]
pub struct SimListArgs {
    /// The folder
    #[arg(long, default_value = "simulations")]
    pub dir: PathBuf,
    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SimRunArgs {
    /// A scenario file, or the name of one in simulations/
    pub file: PathBuf,
    /// The seed [default: the file's]
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// Many seeds, the last one left out
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    pub seeds: Option<Range<u64>>,
    /// Write index.html, result.json, trace.ndjson and metrics.csv into this folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Print one JSON object a seed, as in result.json
    #[arg(long)]
    pub json: bool,
}

const SIM_RUN_HELP: &str = "\
The nodes run the production code; time, network, clocks and disks are simulated. The same file and seed give the same
run on any machine. A failing seed prints the line that replays it; the first one is shrunk to a small scenario that
fails in the same way, NAME-seed-N.toml, beside the report or in the working directory.
Of many seeds the report shows the first that fails, or else the first.

Examples:
  presence-mesh sim run split-heal
  presence-mesh sim run swarm --seeds 0..1000
  presence-mesh sim run simulations/slow-wan.toml --seed 7 --report ./report";

#[derive(Debug, Args)]
pub struct SimReplayArgs {
    /// A scenario file, or the name of one in simulations/
    pub file: PathBuf,
    /// The seed
    #[arg(long, value_name = "N")]
    pub seed: u64,
}

/// Reads `3..10`.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(from, to)| {
        let (from, to) = (from.parse().ok()?, to.parse().ok()?);
        (from < to).then_some(from..to)
    });
    ends.ok_or_else(|| "expected two numbers, the first below the second, as in 0..100".to_owned())
}

#[derive(Debug, Subcommand)]
pub enum AsteriskCommand {
    /// Print the blocks that the PBX's pjsip.conf needs
    #[command(
        after_help = "Example: presence-mesh asterisk config --config presence-mesh.toml >> pjsip.conf"
    )]
    Config(AsteriskToolArgs),
    /// Take back all that this node told its PBX; the node itself must not run
    #[command(after_help = "Example: presence-mesh asterisk withdraw --config presence-mesh.toml")]
    Withdraw(AsteriskToolArgs),
}

#[derive(Debug, Args)]
pub struct AsteriskToolArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Where the node keeps its state [default: as for run]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    #[command(flatten)]
    pub asterisk: AsteriskArgs,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print ok, or every problem with its line
    #[command(
        after_help = "Example: presence-mesh config check /etc/presence-mesh/presence-mesh.toml"
    )]
    Check {
        /// The configuration file
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = DEMO_HELP)]
pub struct DemoArgs {
    /// How many nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=16))]
    pub nodes: u8,
    /// How many phones
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(2..=2000))]
    pub phones: u16,
    /// Where the HTTP API of the first node's view listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4780", value_parser = address::parse)]
    pub http: String,
    /// Print no changes: only the start, cuts, heals and the summary
    #[arg(long)]
    pub headless: bool,
    #[command(flatten)]
    pub looks: LooksArgs,
    /// Chooses the calls; the same number gives the same calls
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How long to go on, such as 30s [default: until Ctrl-C]
    #[arg(long = "for", value_name = "SPAN", value_parser = span::parse)]
    pub duration: Option<Duration>,
}

const DEMO_HELP: &str = "\
All nodes run in this process and talk over real connections on the loopback interface. In a terminal it is a panel:
x cuts the network, h heals it, k kills a node and revives it, c calls somebody, e explains a lamp, / filters, r writes
a report, Tab looks from the next node, ? helps, q quits. NO_COLOR takes the colours away.

Without a terminal, and with --plain or --headless, it prints lines: after 10 s the network is cut in two, 8 s later it
heals; then again every minute. Exits with 1 when the nodes do not agree after a heal.

Examples:
  presence-mesh demo
  presence-mesh demo --for 30s --seed 7 --headless --http 127.0.0.1:0";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ranges_of_seeds_are_half_open_and_not_empty() {
        assert_eq!(seeds("3..10"), Ok(3..10));
        assert_eq!(seeds("0..18446744073709551615"), Ok(0..u64::MAX));
        for text in ["3", "3..3", "4..3", "3..=4", "..4", "-1..4", "a..b"] {
            assert!(seeds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urgent_counts_come_in_pairs() {
        let parse = |counts: &str| {
            Cli::try_parse_from(
                ["presence-mesh", "set", "mailbox", "100"]
                    .into_iter()
                    .chain(counts.split(' ')),
            )
            .is_ok()
        };
        assert!(parse("1 2"));
        assert!(parse("1 2 3 4"));
        assert!(!parse("1"));
        assert!(!parse("1 2 3"));
        assert!(!parse("1 -2"));
        assert!(!parse("1 2 3 4 5"));
    }
}
