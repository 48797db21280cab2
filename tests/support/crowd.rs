//! A node with very many lamps.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs;

use presence_mesh::{DeviceState, Identity, Mesh, MeshKey, MessageCounts, blocking};

use super::process::{Node, PATIENCE, World, wait_for};

const SITES: [&str; 5] = ["Berlin", "Paris", "Oslo", "Madrid", "Vienna"];
const FIRST: [&str; 8] = [
    "Anna", "Bruno", "Chloé", "Dmitri", "Eva", "Farid", "Greta", "Henk",
];
const LAST: [&str; 10] = [
    "Berger", "Castillo", "Dubois", "Eriksen", "Fischer", "García", "Hansen", "Ivanova", "Jansen",
    "Kowalski",
];
/// A node in a process of its own, and one in this process that states all its lamps.
pub struct Crowd {
    pub node: Node,
    pub writer: blocking::Mesh,
    lamps: usize,
}

impl Crowd {
    /// With names for everybody, at five sites; every tenth has messages.
    pub fn start(world: &World, lamps: usize) -> Self {
        let people = world.path("people.csv");
        let mut text = "key,name,extension,site\n".to_owned();
        for number in 0..lamps {
            let (first, last) = (number % FIRST.len(), number / FIRST.len() % LAST.len());
            text += &format!(
                "{},{} {},{number},{}\n",
                key(number),
                FIRST[first],
                LAST[last],
                SITES[number % SITES.len()]
            );
        }
        fs::write(&people, text).expect("a writable folder");
        let mut command = world.command("berlin", &[]);
        command.env("PRESENCE_MESH_PEOPLE_FILE", &people);
        let node = Node::spawn("berlin", command, &world.path("berlin.log"));

        let join: Vec<&str> = node.mesh.iter().map(String::as_str).collect();
        let builder = Mesh::builder("test")
            .node("paris")
            .key(MeshKey::from_bytes([0x5a; 32]))
            .identity(Identity::from_bytes([1; 32]))
            .mdns(false)
            .join(join)
            .expect("addresses");
        let writer = blocking::Mesh::start(builder).expect("the node starts");
        let crowd = Self {
            node,
            writer,
            lamps,
        };
        let states = (0..lamps).map(|number| (key(number), state(number)));
        crowd.writer.devices().set_many(states).expect("room");
        let boxes = (0..lamps).step_by(10).map(|number| {
            let counts = MessageCounts {
                new: 1 + number as u32 % 7,
                ..MessageCounts::default()
            };
            (number.to_string(), counts)
        });
        let written = crowd.writer.mailboxes().set_many(boxes);
        written.expect("room");
        wait_for("all lamps at the node", PATIENCE, || {
            (crowd.node.digest() == crowd.writer.digest().to_string()).then_some(())
        });
        crowd
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.node.http)
    }

    /// Changes one lamp; with another `turn`, to something else.
    pub fn change(&self, number: usize, turn: usize) {
        let (key, state) = (key(number % self.lamps), state(number + turn));
        self.writer.devices().set(&key, state).expect("a write");
    }
}

/// As in an office: one in fifty rings, one in eight is on a call.
fn state(number: usize) -> DeviceState {
    match number * 7 % 50 {
        0 => DeviceState::Ringing,
        1..=6 => DeviceState::InUse,
        7 => DeviceState::OnHold,
        8 => DeviceState::Busy,
        9..=11 => DeviceState::Unavailable,
        _ => DeviceState::NotInUse,
    }
}

fn key(number: usize) -> String {
    format!("PJSIP/{number}")
}
