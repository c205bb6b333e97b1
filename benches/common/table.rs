//! Prints results as Markdown tables for README and docs.

use std::time::Duration;

pub const MIB: f64 = 1024.0 * 1024.0;

pub fn head(columns: &[&str]) {
    println!("\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
}

pub fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Formats a time with three digits in a suitable unit.
pub fn time(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let (number, unit) = match nanos {
        ..1e3 => (nanos, "ns"),
        ..1e6 => (nanos / 1e3, "µs"),
        ..1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    format!("{} {unit}", digits(number))
}

/// Formats a number with at least three digits, and as few decimals as possible.
pub fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{number:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    format!("{}{rest}", grouped(whole))
}

/// Formats an exact mean, without decimals if possible.
pub fn exact(sum: u64, count: u64) -> String {
    if sum.is_multiple_of(count) {
        return grouped(&(sum / count).to_string());
    }
    let text = format!("{:.2}", sum as f64 / count as f64);
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    format!("{}{rest}", grouped(whole))
}

/// Formats a mean with two significant digits.
pub fn about(sum: u64, count: u64) -> String {
    let mean = sum as f64 / count as f64;
    let step = 10_f64.powf(mean.log10().floor() - 1.0);
    grouped(&((mean / step).round() * step).round().to_string())
}

pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

pub fn mib(bytes: u64) -> String {
    format!("{} MiB", digits(bytes as f64 / MIB))
}

/// Groups digits by three.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
