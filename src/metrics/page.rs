//! Families, one after another.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Writes families of numbers that are known already.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

type Labels<const N: usize> = [(&'static str, String); N];

impl<'a> Page<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    pub(super) fn info(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&'static str, &'static str)],
    ) -> fmt::Result {
        self.begin(name, help, None, MetricType::Info)?
            .encode_info(&labels.to_vec())
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.begin(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(signed(value)).encode(encoder)
    }

    pub(super) fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let encoder = self.begin(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    pub(super) fn gauges<T: Into<String>>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        rows: impl IntoIterator<Item = (T, u64)>,
    ) -> fmt::Result {
        let rows = rows.into_iter();
        self.gauge_family(
            name,
            help,
            rows.map(|(of, value)| ([(label, of.into())], value)),
        )
    }

    pub(super) fn gauge_family<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            ConstGauge::new(signed(value)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.begin(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    pub(super) fn counters<T: Into<String>>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        label: &'static str,
        rows: impl IntoIterator<Item = (T, u64)>,
    ) -> fmt::Result {
        let rows = rows.into_iter();
        let rows = rows.map(|(of, value)| ([(label, of.into())], value));
        self.counter_family(name, help, unit, rows)
    }

    pub(super) fn counter_family<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        rows: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, unit.as_ref(), MetricType::Counter)?;
        for (labels, value) in rows {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Of spans: each bucket's upper end in seconds, and how many are in it and in no earlier one.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: Vec<(f64, u64)>,
        sum: f64,
    ) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        self.begin(name, help, Some(&Unit::Seconds), MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        // As the registry ends them.
        self.0
            .encode_descriptor(name, &format!("{help}."), unit, kind)
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
