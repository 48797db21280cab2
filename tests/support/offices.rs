//! Two offices on one wire, each a machine with an `/etc` and a `/var/lib` of its own and an Asterisk that does what
//! its configuration says: what guides are tried out on. Needs root, iproute2 and util-linux.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use presence_mesh::DeviceState;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::asterisk::Pbx;
use super::guide::root;
use super::netns::Wire;
use super::process::{PATIENCE, wait_for};

/// Their names, and their addresses on the internet (RFC 5737).
const OFFICES: [(&str, &str); 2] = [("berlin", "203.0.113.10"), ("paris", "198.51.100.20")];

const RESOLVER: &str = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

/// The configuration that an Asterisk brings.
const ASTERISK: [(&str, &str); 3] = [
    (
        "asterisk.conf",
        "[directories](!)\nastetcdir => /etc/asterisk\n\n[options]\n;verbose = 3\n",
    ),
    (
        "pjsip.conf",
        "[transport-udp]\ntype=transport\nprotocol=udp\nbind=0.0.0.0\n\n",
    ),
    ("modules.conf", "[modules]\nautoload=yes\n"),
];

/// Both machines.
pub struct Offices {
    offices: Vec<Office>,
    /// The PBXs' tasks run here.
    runtime: Runtime,
    _wire: Wire,
}

/// One machine.
struct Office {
    name: &'static str,
    folder: TempDir,
    /// Keeps the machine's namespaces.
    holder: Child,
    pbx: Pbx,
    /// What systemd would run.
    service: Option<Child>,
    /// The last invite that was printed here.
    invite: String,
}

impl Offices {
    /// `None` where namespaces cannot be made, see [`Wire::new`].
    pub fn new(test: &str) -> Option<Self> {
        let wire = Wire::new(test)?;
        let runtime = Runtime::new().expect("threads");
        let office = |(at, _): (usize, _)| Office::new(&wire, at, &runtime);
        let offices = OFFICES.iter().enumerate().map(office).collect();
        Some(Self {
            offices,
            runtime,
            _wire: wire,
        })
    }

    /// A command line on one of the machines.
    pub fn shell(&self, office: &str, line: &str) -> Command {
        let office = self.office(office);
        let mut command = office.inside("timeout");
        // Longer than any command of a guide takes.
        command.args(["60", "sh", "-c", line]).stdin(Stdio::null());
        command
    }

    /// Runs it, or has it done by who stands in for the program, with the reason why:
    ///
    /// - `systemctl`: there is no systemd in a namespace; what the unit starts is started, and corosync is not there.
    /// - `asterisk`: Debian 12 has no such package; the scripted PBX hears what it would.
    ///
    /// `join` gets what the other office's last `invite` printed, as somebody would paste it.
    pub fn perform(&mut self, office: &str, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["systemctl", verb, "presence-mesh"] => self.systemctl(office, verb),
            ["systemctl", "enable" | "disable", "--now", "corosync"] => said(""),
            ["asterisk", "-rx", ..] => {
                let order = line.split('\'').nth(1);
                self.asterisk(office, order.expect("an order in single quotes"))
            }
            ["presence-mesh", "join", ..] => self.join(office, line),
            _ => {
                let output = self.shell(office, line).output().expect("nsenter runs");
                if words.starts_with(&["presence-mesh", "invite"]) {
                    let invite = String::from_utf8_lossy(&output.stdout).into_owned();
                    self.offices
                        .iter_mut()
                        .for_each(|office| office.invite.clone_from(&invite));
                }
                output
            }
        }
    }

    fn join(&mut self, office: &str, line: &str) -> Output {
        let invite = self.office(office).folder.path().join("invite.txt");
        fs::write(&invite, &self.office(office).invite).expect("it is writable");
        let stdin = fs::File::open(invite).expect("it was written");
        self.shell(office, line)
            .stdin(stdin)
            .output()
            .expect("nsenter runs")
    }

    fn systemctl(&mut self, office: &str, verb: &str) -> Output {
        let office = self.office_mut(office);
        match verb {
            "start" => office.start(),
            "stop" => office.stop(),
            "restart" => {
                office.stop();
                office.start();
            }
            _ => panic!("nobody stands in for systemctl {verb}"),
        }
        said("")
    }

    /// What the PBX does. Of what it prints, as much as it can know.
    fn asterisk(&mut self, office: &str, order: &str) -> Output {
        let _here = self.runtime.enter();
        let (pbx, folder) = (self.office(office).pbx.clone(), self.office(office).etc());
        match order {
            "core restart when convenient" => {
                configure(&pbx, &folder);
                pbx.kill();
                pbx.boot();
                said("")
            }
            "channel originate PJSIP/100 application Echo" => {
                // Somebody picks it up.
                pbx.device("PJSIP/100", "INUSE");
                said("")
            }
            "core show hint 100" => said(match pbx.lamp("PJSIP/100") {
                DeviceState::InUse => "100@internal : PJSIP/100  State:InUse",
                DeviceState::NotInUse => "100@internal : PJSIP/100  State:Idle",
                _ => "100@internal : PJSIP/100  State:Unavailable",
            }),
            // A member that leaves takes its states out of the caches of all others, and all of theirs out of its own.
            "module unload res_corosync.so" => {
                self.offices.iter().for_each(|office| office.pbx.wipe());
                said("")
            }
            // There is none: what these say is not looked at.
            "module load res_corosync.so" | "corosync show members" => said(""),
            "module reload res_pjsip_publish_asterisk.so" => {
                pbx.refresh();
                said("")
            }
            _ => panic!("nobody stands in for asterisk -rx '{order}'"),
        }
    }

    /// The PBX of an office.
    pub fn pbx(&self, office: &str) -> &Pbx {
        &self.office(office).pbx
    }

    fn office(&self, name: &str) -> &Office {
        let office = self.offices.iter().find(|office| office.name == name);
        office.unwrap_or_else(|| panic!("there is no office called {name}"))
    }

    fn office_mut(&mut self, name: &str) -> &mut Office {
        let office = self.offices.iter_mut().find(|office| office.name == name);
        office.unwrap_or_else(|| panic!("there is no office called {name}"))
    }
}

impl Office {
    fn new(wire: &Wire, at: usize, runtime: &Runtime) -> Self {
        let (name, address) = OFFICES[at];
        let folder = TempDir::new().expect("a temporary folder");
        let etc = folder.path().join("etc");
        succeed(Command::new("cp").args(["-a", "/etc"]).arg(&etc));
        let mut hosts = fs::read_to_string(etc.join("hosts")).unwrap_or_default();
        for (name, address) in OFFICES {
            hosts.push_str(&format!("{address} {name}.example.net\n"));
        }
        fs::write(etc.join("hosts"), hosts).expect("it is writable");
        // Nobody else is to be asked; one who cannot be reached is waited for.
        fs::write(etc.join("resolv.conf"), RESOLVER).expect("it is writable");
        fs::create_dir_all(etc.join("asterisk")).expect("it is writable");
        for (file, text) in ASTERISK {
            fs::write(etc.join("asterisk").join(file), text).expect("it is writable");
        }
        for inside in ["lib", "home"] {
            fs::create_dir(folder.path().join(inside)).expect("it is writable");
        }
        // One way to the other office, and no other.
        let network = format!(
            "ip addr flush dev eth0 && ip addr add {address}/32 dev eth0 && ip route add default dev eth0"
        );
        succeed(wire.command(at, Path::new("sh")).args(["-c", &network]));
        let mounts = "mount --bind \"$0/etc\" /etc && mount --bind \"$0/lib\" /var/lib && touch \"$0/up\" && \
                      exec sleep infinity";
        let mut holder = wire.command(at, Path::new("unshare"));
        holder
            .args(["--mount", "--propagation", "private", "sh", "-c", mounts])
            .arg(folder.path());
        let holder = holder.stdin(Stdio::null()).spawn().expect("ip runs");
        wait_for("the machine", PATIENCE, || {
            folder.path().join("up").exists().then_some(())
        });
        let socket = bind_there(holder.id(), "127.0.0.1:5060");
        let _here = runtime.enter();
        let pbx = Pbx::on(socket, name, "");
        Self {
            name,
            folder,
            holder,
            pbx,
            service: None,
            invite: String::new(),
        }
    }

    fn etc(&self) -> PathBuf {
        self.folder.path().join("etc")
    }

    /// A program on this machine.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--mount",
            "--net",
            "--target",
            &self.holder.id().to_string(),
            "env",
            "--chdir",
        ]);
        command.arg(self.folder.path().join("home")).arg(program);
        super::on_path(&mut command);
        command
    }

    /// What the unit starts, as systemd would.
    fn start(&mut self) {
        assert!(self.service.is_none(), "{} runs already", self.name);
        self.pbx.expect_new_streams();
        let unit = fs::read_to_string(root().join("packaging/presence-mesh.service"))
            .expect("it is there");
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/"));
        let line = line
            .expect("it starts the program")
            .replace("%S", "/var/lib");
        let mut words = line.split(' ');
        let mut command = self.inside(words.next().expect("a program"));
        let log = fs::File::create(self.log()).expect("it is writable");
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // The internet carries no multicast; this wire would.
            .env("PRESENCE_MESH_DISCOVERY_MDNS", "off");
        self.service = Some(command.spawn().expect("nsenter runs"));
    }

    fn stop(&mut self) {
        let mut service = self
            .service
            .take()
            .unwrap_or_else(|| panic!("{} does not run", self.name));
        kill_process(Pid::from_child(&service), Signal::TERM).expect("a child of ours");
        let status = wait_for("the end of the service", PATIENCE, || {
            service.try_wait().expect("a child of ours")
        });
        assert!(status.success(), "{}: {status}", self.name);
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("service.log")
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        // Ended already, if a guide did it.
        for child in self.service.iter_mut().chain([&mut self.holder]) {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            eprintln!("--- log of {} ---\n{log}", self.name);
        }
    }
}

/// Makes the PBX what its files say.
fn configure(pbx: &Pbx, etc: &Path) {
    let read =
        |file: &str| fs::read_to_string(etc.join("asterisk").join(file)).expect("it is there");
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
    };
    let options = read("asterisk.conf");
    let options = options
        .split("[options]\n")
        .nth(1)
        .expect("it has a section for them");
    pbx.set_eid(
        &value(options, "entityid=").expect("Asterisk would take a MAC address for its EID"),
    );
    let pjsip = read("pjsip.conf");
    if let Some(password) = value(&pjsip, "password=") {
        pbx.set_password(&password);
    }
    if let Some(server) = value(&pjsip, "server_uri=") {
        let address = server.rsplit_once('@').map(|(_, address)| address.parse());
        pbx.publish_to(address.expect("a user part").expect("an address"));
    }
}

/// A socket in the network of that process.
fn bind_there(process: u32, address: &'static str) -> UdpSocket {
    let network = fs::File::open(format!("/proc/{process}/ns/net")).expect("it runs");
    let bind = move || {
        // Of this thread alone, which ends with it.
        move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&network),
            Some(LinkNameSpaceType::Network),
        )
        .expect("we are root");
        UdpSocket::bind(address).expect("nobody has it")
    };
    thread::spawn(bind).join().expect("it does not panic")
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn said(text: &str) -> Output {
    Output {
        status: std::process::ExitStatus::from_raw(0),
        stdout: text.as_bytes().to_vec(),
        stderr: Vec::new(),
    }
}
