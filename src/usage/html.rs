//! The residency report as one page to hand on: no script, nothing from elsewhere, fit for paper.

use std::fmt::Write as _;

use super::residency::{Figure, Residency, ResidencyReport, Touch};

const STYLE: &str = "body{font:11pt/1.4 system-ui,sans-serif;margin:2em auto;max-width:70em;color:#111;background:#fff}\
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;width:100%;margin:.5em 0}\
th,td{text-align:left;vertical-align:top;border-bottom:1px solid #bbb;padding:.25em .6em .25em 0;overflow-wrap:anywhere}\
th{font-weight:600}td.n,th.n{text-align:right;white-space:nowrap}code,pre{font:9.5pt ui-monospace,monospace}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:.6em}.quiet{color:#555}\
@page{size:A4;margin:15mm}@media print{body{margin:0;font-size:9pt}h2,tr{break-inside:avoid}}";

/// The page.
#[must_use]
pub fn page(report: &ResidencyReport) -> String {
    let mut html = String::new();
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Data residency</title>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <style>{STYLE}</style></head><body><h1>Data residency</h1><p>From {} to {}. Made at {} by pgward.</p>",
        escaped(&report.since),
        escaped(&report.until),
        escaped(&report.made_at)
    );
    html.push_str("<h2>Where the databases lie</h2><table><tr><th scope=\"col\">Database<th scope=\"col\">Region<th scope=\"col\">Upstream</tr>");
    for place in &report.places {
        let cells = [&place.database, &place.region, &place.upstream].map(|cell| escaped(cell));
        let _ = write!(html, "<tr><td>{}</tr>", cells.join("<td>"));
    }
    html.push_str("</table>");
    if report.relations.is_empty() {
        html.push_str("<p>No table is classified.</p>");
    }
    report.relations.iter().for_each(|relation| self::relation(&mut html, relation));
    html.push_str("<h2>Proof</h2><p>Each figure names the records that it was counted from. They stand in pgward's journal, whose signed checkpoint is:</p>");
    let checkpoint = report.proof.checkpoint.as_deref().unwrap_or("none was signed yet");
    let _ = write!(
        html,
        "<pre>{}</pre><p>Counted up to record {}. To count again, and to prove a record:</p><pre>{}</pre>",
        escaped(checkpoint),
        report.proof.last_record,
        escaped(&report.proof.recount.join("\n"))
    );
    if !report.notes.is_empty() {
        html.push_str("<h2>What to know</h2><ul>");
        for note in &report.notes {
            let _ = write!(html, "<li>{}", escaped(note));
        }
        html.push_str("</ul>");
    }
    html.push_str("</body></html>\n");
    html
}

fn relation(html: &mut String, one: &Residency) {
    let columns = one.columns.as_ref().map_or_else(String::new, |columns| format!(" ({})", columns.join(", ")));
    let clients = one.clients.as_ref().map_or_else(|| "any region".to_owned(), |clients| clients.join(", "));
    let labels = if one.labels.is_empty() { String::new() } else { format!(" Labels: {}.", one.labels.join(", ")) };
    let _ = write!(
        html,
        "<h2>{}: {}{}</h2><p>Lies in {}. To be touched from {}. Leaving it: {}.{}</p>",
        escaped(&one.database),
        escaped(&one.relation),
        escaped(&columns),
        escaped(&one.region),
        escaped(&clients),
        escaped(&one.export),
        escaped(&labels)
    );
    html.push_str("<table><tr><th scope=\"col\">What<th scope=\"col\" class=\"n\">Statements<th scope=\"col\" class=\"n\">Rows<th scope=\"col\" class=\"n\">Bytes<th scope=\"col\">Records</tr>");
    figure(html, "Ran", &one.allowed);
    for (region, exported) in &one.exported {
        figure(html, &format!("Ran for clients in {region}, outside its region"), exported);
    }
    figure(html, "Refused", &one.refused);
    html.push_str("</table>");
    if one.touches.is_empty() {
        html.push_str("<p class=\"quiet\">Nobody touched it.</p>");
        return;
    }
    html.push_str(
        "<table><tr><th scope=\"col\">Who<th scope=\"col\">From<th scope=\"col\">Addresses<th scope=\"col\">First<th scope=\"col\">Last\
         <th scope=\"col\" class=\"n\">Statements<th scope=\"col\" class=\"n\">Rows<th scope=\"col\">Outcome<th scope=\"col\">Records</tr>",
    );
    one.touches.iter().for_each(|touch| self::touch(html, touch));
    html.push_str("</table>");
}

fn figure(html: &mut String, what: &str, figure: &Figure) {
    let _ = write!(
        html,
        "<tr><th scope=\"row\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td>{}</tr>",
        escaped(what),
        figure.statements,
        figure.rows,
        figure.bytes,
        records(figure)
    );
}

fn touch(html: &mut String, touch: &Touch) {
    let addresses: Vec<&str> = touch.addresses.iter().map(String::as_str).collect();
    let outcome = touch.refused_by.as_ref().map_or_else(|| "ran".to_owned(), |rule| format!("refused: {rule}"));
    let region = touch.client_region.as_deref().unwrap_or("no declared region");
    let _ = write!(
        html,
        "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td>{}<td>{}</tr>",
        escaped(&touch.principal),
        escaped(region),
        escaped(&addresses.join(", ")),
        escaped(&touch.first),
        escaped(&touch.last),
        touch.figure.statements,
        touch.figure.rows,
        escaped(&outcome),
        records(&touch.figure)
    );
}

fn records(figure: &Figure) -> String {
    let named: Vec<String> = figure.records.iter().map(ToString::to_string).collect();
    let all = named.join(", ");
    match (figure.statements > figure.records.len() as u64, figure.last_record) {
        (true, Some(last)) => format!("{all} … {last}"),
        (true | false, _) => all,
    }
}

/// Text, whatever is in it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
