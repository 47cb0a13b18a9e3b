//! Foot of a plan: billed items after it and their difference, and the estimate from the user's
//! prices.

use std::io::{self, Write};

use groundplan_engine::plan::billing::{BilledLine, bill};
use serde_json::{Value, json};

use super::PlanView;
use crate::prices::{HOURS, Prices};
use crate::render::screen;

impl PlanView<'_> {
    /// Returns the billed items before and after the plan.
    pub(in crate::render) fn bill(&self) -> Vec<BilledLine> {
        bill(self.plan, self.describe.billed)
    }

    pub(super) fn write_bill(&self, out: &mut dyn Write) -> io::Result<()> {
        for line in self.bill_lines() {
            self.line(out, &screen::one_line(&line), 2)?;
        }
        Ok(())
    }

    /// Returns the lines of the foot. A plan without changes has them only if the user gives prices.
    pub(in crate::render) fn bill_lines(&self) -> Vec<String> {
        let lines = self.bill();
        if lines.is_empty() || (self.plan.is_empty() && self.prices.is_none()) {
            return Vec::new();
        }
        let estimate = self.prices.map(|prices| estimated(prices, &lines));
        std::iter::once(counted(&lines)).chain(estimate).collect()
    }
}

/// Returns the amounts after a plan, and the difference.
fn counted(lines: &[BilledLine]) -> String {
    let after = lines.iter().filter(|line| line.after > 0);
    let after: Vec<_> = after.map(|line| line.item.counted(line.after)).collect();
    let after = if after.is_empty() { "nothing".to_owned() } else { after.join(", ") };
    let changed = lines.iter().filter(|line| line.before != line.after);
    let signed = |line: &BilledLine| {
        let sign = if line.after > line.before { '+' } else { '-' };
        format!("{sign}{}", line.item.counted(line.after.abs_diff(line.before)))
    };
    let changed: Vec<_> = changed.map(signed).collect();
    let difference = match () {
        () if changed.is_empty() => "no difference".to_owned(),
        () if lines.iter().all(|line| line.before == 0) => "all new".to_owned(),
        () => changed.join(", "),
    };
    format!("Billed after this plan: {after} ({difference})")
}

/// Returns the estimate in words.
fn estimated(prices: &Prices, lines: &[BilledLine]) -> String {
    let estimate = prices.estimate(lines);
    let unpriced = match estimate.unpriced.is_empty() {
        true => String::new(),
        false => format!("; no price for {}", estimate.unpriced.join(", ")),
    };
    if estimate.priced == 0 {
        return format!("Estimate: none{unpriced}");
    }
    let (after, difference) = (estimate.after, cents(estimate.after - estimate.before));
    let difference = if difference == 0.0 { String::new() } else { format!(" ({difference:+.2})") };
    let currency = &prices.currency;
    format!(
        "Estimate: {after:.2} {currency} a month of {HOURS} hours{difference}, without usage such as \
         traffic{unpriced}"
    )
}

/// Returns an amount of money to two digits.
fn cents(amount: f64) -> f64 {
    let rounded = (amount * 100.0).round() / 100.0;
    if rounded == 0.0 { 0.0 } else { rounded } // no negative zero
}

/// Returns the billed items for programs.
pub(in crate::render) fn billed_for_programs(lines: &[BilledLine]) -> Value {
    let line = |line: &BilledLine| {
        let BilledLine { item, before, after } = line;
        let mut fields = json!({"item": item.name, "before": before, "after": after});
        if !item.variant.is_empty() {
            fields["variant"] = item.variant.as_str().into();
        }
        fields
    };
    lines.iter().map(line).collect()
}

/// Returns the estimate for programs.
pub(in crate::render) fn estimate_for_programs(prices: &Prices, lines: &[BilledLine]) -> Value {
    let estimate = prices.estimate(lines);
    json!({
        "currency": prices.currency,
        "hours": HOURS,
        "before": cents(estimate.before),
        "after": cents(estimate.after),
        "unpriced": estimate.unpriced,
    })
}
