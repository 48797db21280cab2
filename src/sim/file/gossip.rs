//! `[gossip]`: the parameters of the model of gossipsub.

use super::item::Item;
use super::problem::Wrong;
use crate::sim::gossip::Params;

/// Reads `gossip = false`, `gossip = true`, or the table.
pub(super) fn read(item: &Item<'_>) -> Result<Option<Params>, Wrong> {
    if item.is_false() {
        return Ok(None);
    }
    let mut params = Params::default();
    if item.is_true() {
        return Ok(Some(params));
    }
    let table = item.table("true, false or a table, [gossip]")?.known()?;
    for (key, field) in fields(&mut params) {
        let Some(item) = table.get(key) else { continue };
        match field {
            Field::Count(count) => *count = item.count(0, MAX_COUNT)?,
            Field::Number(number) => *number = item.count(0, MAX_COUNT)? as u32,
            Field::Span(us) => *us = item.span_us()?,
            Field::Delay(us) => *us = item.moment_us()?,
            Field::Switch(switch) => *switch = item.switch()?,
        }
    }
    let ordered = [
        (
            "mesh_outbound_min",
            params.mesh_outbound_min,
            params.mesh_n_low,
        ),
        ("mesh_n_low", params.mesh_n_low, params.mesh_n),
        ("mesh_n", params.mesh_n, params.mesh_n_high),
        (
            "history_gossip",
            params.history_gossip,
            params.history_length,
        ),
    ];
    for (key, value, most) in ordered {
        if value > most {
            let place = table.get(key).unwrap_or_else(|| item.clone());
            return Err(place.must_be_at_most(&format!("gossip.{key}"), value, most));
        }
    }
    Ok(Some(params))
}

/// Greater ones are surely mistakes: gossipsub's own are in the tens.
const MAX_COUNT: i64 = 1_000_000;

/// A parameter.
pub(super) enum Field<'a> {
    Count(&'a mut usize),
    Number(&'a mut u32),
    /// More than 0.
    Span(&'a mut u64),
    Delay(&'a mut u64),
    Switch(&'a mut bool),
}

/// Every parameter and its key.
pub(super) fn fields(params: &mut Params) -> [(&'static str, Field<'_>); 23] {
    use Field::{Count, Delay, Number, Span, Switch};
    [
        ("mesh_n", Count(&mut params.mesh_n)),
        ("mesh_n_low", Count(&mut params.mesh_n_low)),
        ("mesh_n_high", Count(&mut params.mesh_n_high)),
        ("mesh_outbound_min", Count(&mut params.mesh_outbound_min)),
        ("gossip_lazy", Count(&mut params.gossip_lazy)),
        (
            "gossip_factor_percent",
            Number(&mut params.gossip_factor_percent),
        ),
        ("history_length", Count(&mut params.history_length)),
        ("history_gossip", Count(&mut params.history_gossip)),
        ("heartbeat", Span(&mut params.heartbeat_us)),
        ("initial_delay", Delay(&mut params.initial_delay_us)),
        ("phase", Delay(&mut params.phase_us)),
        ("flood_publish", Switch(&mut params.flood_publish)),
        ("authored", Switch(&mut params.authored)),
        ("duplicate_cache", Span(&mut params.duplicate_cache_us)),
        ("prune_backoff", Span(&mut params.prune_backoff_us)),
        ("backoff_slack", Number(&mut params.backoff_slack)),
        (
            "gossip_retransmission",
            Number(&mut params.gossip_retransmission),
        ),
        ("max_ihave_length", Count(&mut params.max_ihave_length)),
        ("max_ihave_messages", Number(&mut params.max_ihave_messages)),
        (
            "idontwant_threshold_bytes",
            Count(&mut params.idontwant_threshold_bytes),
        ),
        (
            "idontwant_on_publish",
            Switch(&mut params.idontwant_on_publish),
        ),
        ("topic_bytes", Count(&mut params.topic_bytes)),
        ("id_bytes", Count(&mut params.id_bytes)),
    ]
}
