//! Formats numbers with three digits and a unit.

/// Formats a time in microseconds.
pub fn time(micros: f64) -> String {
    match micros {
        _ if micros >= 999_500.0 => format!("{} s", digits(micros / 1e6)),
        _ if micros >= 999.5 => format!("{} ms", digits(micros / 1e3)),
        _ => format!("{} µs", digits(micros)),
    }
}

pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["B", "kB", "MB", "GB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", digits(value), UNITS[unit])
}

/// Formats a round number for an axis, without trailing zeroes.
pub fn round(text: &str) -> String {
    text.replace(".00 ", " ").replace(".0 ", " ")
}

/// Formats a count, grouped by thousands.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats three significant digits.
pub fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => count(value.round() as u64),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits() {
        assert_eq!(digits(0.123), "0.12");
        assert_eq!(digits(9.994), "9.99");
        assert_eq!(digits(9.996), "10.0");
        assert_eq!(digits(99.96), "100");
        assert_eq!(digits(1234.5), "1,235");
    }

    #[test]
    fn units() {
        assert_eq!(time(2.166), "2.17 µs");
        assert_eq!(time(999.6), "1.00 ms");
        assert_eq!(time(2_500_000.0), "2.50 s");
        assert_eq!(bytes(262.0), "262 B");
        assert_eq!(bytes(75e6), "75.0 MB");
    }

    #[test]
    fn round_numbers_have_no_zeroes_behind_the_point() {
        assert_eq!(round(&time(10.0)), "10 µs");
        assert_eq!(round(&time(1.0)), "1 µs");
        assert_eq!(round(&bytes(1e5)), "100 kB");
        assert_eq!(round(&time(1.25)), "1.25 µs");
    }

    #[test]
    fn thousands() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
    }
}
