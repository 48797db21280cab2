//! Faults that somebody wishes for, and how things stand.

use std::time::{Duration, Instant};

use super::super::stage::{Actor, Fault, Scene};
use super::{Engine, Happening, Phase};

impl Engine {
    /// How things stand, without the log.
    pub fn scene(&self) -> Scene {
        let (latency, loss) = self.sites.weather();
        let sides = self.reachable();
        let actor = |site: usize| {
            let (mesh, doubts) = (self.sites.mesh(site), self.sites.doubts(site));
            Actor {
                node: self.sites.name(site).to_owned(),
                running: mesh.is_some(),
                side: sides[site],
                digest: mesh
                    .map(|mesh| mesh.digest().to_string())
                    .unwrap_or_default(),
                stale: doubts.stale,
                gone: doubts.gone,
            }
        };
        let ms = |share| {
            self.sightings
                .quantile(share)
                .map(|span: Duration| span.as_secs_f64() * 1_000.0)
        };
        Scene {
            nodes: (0..self.sites.count()).map(actor).collect(),
            phase: self.phase(),
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            loss_percent: (loss * 100.0).round() as u64,
            median_ms: ms(0.5),
            p99_ms: ms(0.99),
            last: String::new(),
            log: Vec::new(),
        }
    }

    /// Whether the network is whole, cut, or healing.
    pub fn phase(&self) -> &'static str {
        match self.phase {
            Phase::Whole { .. } => "whole",
            Phase::Cut { .. } => "cut",
            Phase::Healing { .. } => "healing",
        }
    }

    /// Makes a fault happen; from then on none comes by itself.
    ///
    /// # Errors
    /// Why it cannot be; nothing has changed.
    pub async fn provoke(&mut self, fault: Fault) -> Result<(), String> {
        let now = Instant::now();
        match fault {
            Fault::Cut if !matches!(self.phase, Phase::Whole { .. }) => {
                return Err("the network is not whole".to_owned());
            }
            Fault::Heal if !matches!(self.phase, Phase::Cut { .. }) => {
                return Err("the network is not cut".to_owned());
            }
            Fault::Cut => self.cut(now),
            Fault::Heal => self.heal(now),
            Fault::Kill(name) => self.kill(&name)?,
            Fault::Revive(name) => self.revive(&name).await?,
            Fault::Weather { latency, loss } => {
                self.sites.set_weather(latency, loss);
                self.told.push_back(Happening::Weather { latency, loss });
            }
            Fault::Call(wanted) => {
                let sites = &self.sites;
                let can = |site| sites.mesh(site).is_some();
                let (caller, callee) =
                    self.phones
                        .ring(self.start.elapsed(), wanted.as_deref(), can)?;
                self.told.push_back(Happening::Called { caller, callee });
                // A call is no fault.
                return Ok(());
            }
        }
        self.automatic = false;
        Ok(())
    }

    fn kill(&mut self, name: &str) -> Result<(), String> {
        let site = self
            .sites
            .find(name)
            .ok_or_else(|| format!("there is no node {name}"))?;
        let mesh = self
            .sites
            .mesh(site)
            .ok_or_else(|| format!("{name} does not run"))?;
        let other = self.sites.running().find(|(number, _)| *number != site);
        let (_, other) = other.ok_or_else(|| format!("{name} is the last that runs"))?;
        if self.view.mesh().id() == mesh.id() {
            self.view.show(other.clone());
        }
        self.sites.kill(site);
        self.divide();
        self.told.push_back(Happening::Killed {
            site: name.to_owned(),
        });
        Ok(())
    }

    async fn revive(&mut self, name: &str) -> Result<(), String> {
        let site = self
            .sites
            .find(name)
            .ok_or_else(|| format!("there is no node {name}"))?;
        if self.sites.mesh(site).is_some() {
            return Err(format!("{name} runs"));
        }
        let mesh = self
            .sites
            .revive(site)
            .await
            .map_err(|error| format!("{error:#}"))?;
        self.sightings.watch(site, mesh);
        self.divide();
        for act in self.phones.at(site) {
            self.sites
                .write(&act)
                .map_err(|error| format!("{error:#}"))?;
        }
        self.told.push_back(Happening::Revived {
            site: name.to_owned(),
        });
        Ok(())
    }
}
