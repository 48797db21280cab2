//! Times, rates and chances as people write them.

use crate::sim::prf::Chance;

/// Nothing in a scenario lasts longer: 30 days, far beyond what any promise is about, and sums of such times
/// cannot overflow.
pub const MAX_SPAN_US: u64 = 30 * 86_400_000_000;

const SPAN_UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// In bytes a second, times 8: of a bit.
const RATE_UNITS: [(&str, u64); 8] = [
    ("Gbit/s", 1_000_000_000),
    ("Mbit/s", 1_000_000),
    ("kbit/s", 1_000),
    ("bit/s", 1),
    ("GB/s", 8_000_000_000),
    ("MB/s", 8_000_000),
    ("kB/s", 8_000),
    ("B/s", 8),
];

/// What a span must look like.
pub(super) const SPAN: &str =
    "a whole number and us, ms, s, m, h or d, as in \"250ms\", at most 30d";
/// What a rate must look like.
pub(super) const RATE: &str = "a whole number and bit/s, kbit/s, Mbit/s, Gbit/s, B/s, kB/s or MB/s, as in \"1Mbit/s\", of at least one byte a second";

/// Reads `250ms`, in µs.
pub(super) fn span(text: &str) -> Option<u64> {
    number_and_unit(text, &SPAN_UNITS).filter(|us| *us <= MAX_SPAN_US)
}

/// Reads `-1h`, in ms.
pub(super) fn offset(text: &str) -> Option<i64> {
    let (sign, span) = match text.strip_prefix('-') {
        Some(span) => (-1, span),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let us = number_and_unit(span, &SPAN_UNITS).filter(|us| us % 1_000 == 0)?;
    Some(sign * i64::try_from(us / 1_000).expect("a thousandth of an u64 fits"))
}

/// Writes ms with their sign.
pub(super) fn offset_text(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    format!(
        "{sign}{}",
        span_text(ms.unsigned_abs().saturating_mul(1_000))
    )
}

/// Writes µs with the largest unit that keeps them whole; a minute is 60s, as people say.
pub(super) fn span_text(us: u64) -> String {
    let (unit, size) = SPAN_UNITS
        .into_iter()
        .find(|(_, size)| {
            us.is_multiple_of(*size) && (us > *size || us == *size && us <= 1_000_000)
        })
        .unwrap_or(("us", 1));
    format!("{}{unit}", us / size)
}

/// Reads `1Mbit/s`, in bytes a second.
pub(super) fn rate(text: &str) -> Option<u64> {
    number_and_unit(text, &RATE_UNITS)
        .map(|bits| bits / 8)
        .filter(|bytes| *bytes > 0)
}

/// Writes bytes a second.
pub(super) fn rate_text(bytes: u64) -> String {
    let bits = bytes.saturating_mul(8);
    let (unit, size) = RATE_UNITS
        .into_iter()
        .find(|(_, size)| bits.is_multiple_of(*size) && bits >= *size)
        .unwrap_or(("B/s", 8));
    format!("{}{unit}", bits / size)
}

/// Reads `0.3`, in millionths. A number is kept exactly or not at all.
pub(super) fn chance(text: &str) -> Option<Chance> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.is_empty() || fraction.len() > 6 {
        return None;
    }
    let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 1)?;
    let millionths: u32 = format!("{fraction:0<6}").parse().ok()?;
    let chance = Chance(whole * Chance::CERTAIN.0 + millionths);
    (chance <= Chance::CERTAIN).then_some(chance)
}

/// Writes a chance.
pub(super) fn chance_text(chance: Chance) -> String {
    thousandth_text(u64::from(chance.0), 6)
}

/// Writes a number that counts in units of `10^-digits`.
pub(super) fn thousandth_text(number: u64, digits: u32) -> String {
    let one = 10u64.pow(digits);
    let fraction = format!("{:0width$}", number % one, width = digits as usize);
    let fraction = fraction.trim_end_matches('0');
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    format!("{}.{fraction}", number / one)
}

/// Reads `1.5`, in thousandths.
pub(super) fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = whole.parse().ok().filter(|whole| *whole < 1_000_000)?;
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    Some(whole * 1_000 + fraction)
}

/// Reads `2100-01-01`, as ms since 1970 (Howard Hinnant's `days_from_civil`).
pub(super) fn date(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(|part| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| part.parse::<i64>().ok())
            .flatten()
    });
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let known = parts.next().is_none()
        && (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day);
    if !known {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400_000)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn number_and_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        let cases = [
            ("10us", 10),
            ("250ms", 250_000),
            ("5s", 5_000_000),
            ("90s", 90_000_000),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
            ("30d", MAX_SPAN_US),
        ];
        for (text, us) in cases {
            assert_eq!(span(text), Some(us), "{text}");
            assert_eq!(span(&span_text(us)), Some(us), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5s",
            "31d",
            "99999999999999999999s",
        ] {
            assert_eq!(span(text), None, "{text:?}");
        }
        assert_eq!(span_text(90_000_000), "90s");
        assert_eq!(span_text(60_000_000), "60s");
        assert_eq!(span_text(1_000_000), "1s");
        assert_eq!(span_text(120_000_000), "2m");
        assert_eq!(span_text(0), "0us");
    }

    #[test]
    fn rates_are_told_in_bits_or_bytes() {
        for (text, bytes) in [("1Mbit/s", 125_000), ("64kbit/s", 8_000), ("3B/s", 3)] {
            assert_eq!(rate(text), Some(bytes), "{text}");
            assert_eq!(rate(&rate_text(bytes)), Some(bytes), "{text}");
        }
        for text in ["1Mbps", "7bit/s", "0B/s", "fast"] {
            assert_eq!(rate(text), None, "{text:?}");
        }
    }

    #[test]
    fn chances_are_exact_to_a_millionth() {
        for (text, millionths) in [
            ("0", 0),
            ("1", 1_000_000),
            ("1.0", 1_000_000),
            ("0.3", 300_000),
            ("0.000001", 1),
        ] {
            assert_eq!(chance(text), Some(Chance(millionths)), "{text}");
            assert_eq!(chance(&chance_text(Chance(millionths))), chance(text));
        }
        for text in ["1.1", "2", "-0.1", "0.0000001", "nan", "inf", "1e-3", ""] {
            assert_eq!(chance(text), None, "{text:?}");
        }
    }

    #[test]
    fn dates_are_days_since_1970() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2026-01-01"), Some(1_767_225_600_000));
        assert_eq!(date("2100-03-01"), Some(4_107_542_400_000));
        for text in [
            "2100-02-29",
            "2100-13-01",
            "2100-1",
            "1969-12-31",
            "2100-01-01-01",
        ] {
            assert_eq!(date(text), None, "{text:?}");
        }
    }
}
