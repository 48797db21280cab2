//! `sim run --seeds`.

use std::ops::Range;
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use presence_mesh::sim::{self, Figures, NodeFigures, Outcome, Verdict};

use super::{account, yardstick};
use crate::cli::SimRunArgs;
use crate::output;

/// Runs every seed of a range.
pub fn fleet(args: &SimRunArgs, seeds: Range<u64>) -> anyhow::Result<()> {
    let scenario = super::read(&args.file)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let count = seeds.end - seeds.start;
    // Hidden where stderr is no terminal.
    let bar = ProgressBar::new(count).with_style(
        ProgressStyle::with_template("{bar:40} {pos} of {len} seeds, {eta} left, {msg}")
            .expect("the template is right"),
    );
    bar.set_message("none failed");
    let began = Instant::now();
    let mut sum = Sum::default();
    let mut printed = Ok(());
    sim::fleet(&scenario, seeds.clone(), threads, |outcome| {
        let line = if args.json {
            serde_json::to_string(&outcome).ok()
        } else {
            matches!(outcome.verdict, Verdict::Fail(_)).then(|| account::verdict(&outcome))
        };
        if let (Some(line), Ok(())) = (line, &printed) {
            printed = bar.suspend(|| output::line(line));
        }
        sum.add(outcome);
        if !sum.failed.is_empty() {
            bar.set_message(format!("{} failed", sum.failed.len()));
        }
        bar.inc(1);
    });
    bar.finish_and_clear();
    printed?;
    if let Some(dir) = &args.report {
        let shown = sum.failed.first().map_or(seeds.start, |first| first.seed);
        let (outcome, recording) = sim::run(&scenario, shown, true);
        let recording = recording.expect("it was asked for");
        sim::report::write(dir, &scenario.with_chaos(shown), &outcome, &recording)
            .context("the report could not be written")?;
        eprintln!(
            "the report in {} shows seed {shown}",
            dir.join("index.html").display()
        );
    }
    if !args.json {
        output::line(format!(
            "{}: {} of {} seeds kept every promise",
            scenario.name,
            account::grouped(count - sum.failed.len() as u64),
            account::grouped(count)
        ))?;
        output::line(account::figures(&sum.figures, began.elapsed()))?;
        if let Some(table) = sum.last.as_ref().and_then(yardstick::table) {
            output::line(format!("{table}\n(of the last seed)"))?;
        }
    }
    super::failed(args, &scenario, &sum.failed, count)
}

/// Many outcomes together: counts added, times to the greatest.
#[derive(Default)]
struct Sum {
    figures: Figures,
    failed: Vec<Outcome>,
    last: Option<Outcome>,
}

impl Sum {
    fn add(&mut self, outcome: Outcome) {
        let (sum, one) = (&mut self.figures, &outcome.figures);
        sum.virtual_us += one.virtual_us;
        sum.events += one.events;
        sum.writes += one.writes;
        sum.seen.merge(&one.seen);
        sum.delivery.merge(&one.delivery);
        sum.converged_us = sum.converged_us.max(one.converged_us);
        sum.lamp_lie_us = sum.lamp_lie_us.max(one.lamp_lie_us);
        sum.frames += one.frames;
        sum.copies += one.copies;
        sum.deliveries += one.deliveries;
        sum.payload_elements += one.payload_elements;
        sum.metadata_units += one.metadata_units;
        sum.lost += one.lost;
        sum.queue_drops += one.queue_drops;
        sum.resets += one.resets;
        sum.garbage_refused += one.garbage_refused;
        if sum.nodes.is_empty() {
            sum.nodes.push(NodeFigures::default());
        }
        for node in &one.nodes {
            sum.nodes[0].sent_bytes += node.sent_bytes;
            sum.nodes[0].sent_messages += node.sent_messages;
        }
        if let Verdict::Fail(_) = outcome.verdict {
            self.failed.push(outcome.clone());
        }
        self.last = Some(outcome);
    }
}
