//! Terminal output: results to standard output, messages to standard error. With `--json`, all
//! output is JSON lines (or one document) on standard output. `--json-into` copies the lines to a
//! file.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Stderr, Stdout, Write, stderr, stdin, stdout};
use std::sync::Arc;

use anstream::{AutoStream, ColorChoice};
use groundplan_aws::Aws;
use groundplan_engine::event::Event;
use groundplan_engine::plan::Plan;
use groundplan_engine::provider::Schemas;
use groundplan_openshift::diagnostics::{Finding, for_programs};
use groundplan_openshift::install_config;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::args::{CliArguments, CommonArgs, PlanFormat};
use crate::cli::output::json_file::{StreamFile, WholeLines};
use crate::cli::output::output_file::is_standard_output;
use crate::render::json::JsonLines;
use crate::render::markdown;
use crate::render::progress::{Estimate, LiveRegion, ProgressLines};
use crate::render::screen::{self, Screen};
use crate::render::{Code, Diagnostic, PlanView};

/// Standard output and standard error with their formats.
#[derive(Debug)]
pub(crate) struct Ui {
    out: Out,
    err: Screen<AutoStream<Stderr>>,
    colour: bool,
    /// True if a plan is printed as Markdown. Other results then go to standard error.
    markdown: bool,
    /// File of `--json-into`, independent of the terminal format.
    file: Option<StreamFile>,
    /// AWS client whose calls are counted.
    aws: Option<Arc<Aws>>,
}

#[derive(Debug)]
enum Out {
    Human(Screen<AutoStream<Stdout>>),
    /// Text on standard error, because the user asked for a file on standard output.
    Aside(Screen<AutoStream<Stderr>>),
    Json(JsonLines<Sink>),
}

impl Out {
    /// Returns the writer of text for people; `None` if the output is JSON.
    fn people(&mut self) -> Option<&mut dyn Write> {
        match self {
            Out::Human(out) => Some(out),
            Out::Aside(out) => Some(out),
            Out::Json(_) => None,
        }
    }
}

/// Destination of JSON lines.
#[derive(Debug)]
enum Sink {
    Stdout(Stdout),
    Stderr(Stderr),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stdout(out) => out.write(bytes),
            Sink::Stderr(err) => err.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout(out) => out.flush(),
            Sink::Stderr(err) => err.flush(),
        }
    }
}

impl Ui {
    pub(crate) fn new(common: &CommonArgs) -> Self {
        let never = common.no_color;
        let out = if common.json {
            Out::Json(JsonLines::new(Sink::Stdout(stdout()), Timestamp::now))
        } else {
            let choice = if never { ColorChoice::Never } else { AutoStream::choice(&stdout()) };
            Out::Human(Screen::new(AutoStream::new(stdout(), choice)))
        };
        let choice = if never { ColorChoice::Never } else { AutoStream::choice(&stderr()) };
        let colour = choice != ColorChoice::Never;
        let err = Screen::new(AutoStream::new(stderr(), choice));
        Self { out, err, colour, markdown: false, file: None, aws: None }
    }

    /// Returns the output for a command. A file that is `-` gets standard output for itself, and
    /// everything else goes to standard error. So does a document with `--json`.
    pub(crate) fn of(arguments: &CliArguments) -> Self {
        let mut ui = Self::new(&arguments.common);
        ui.markdown = arguments.command.format() == PlanFormat::Markdown;
        let is_taken = arguments.output_files().any(is_standard_output);
        if ui.is_json() && (is_taken || arguments.command.prints_a_document()) {
            ui.out = Out::Json(JsonLines::new(Sink::Stderr(stderr()), Timestamp::now));
        } else if is_taken {
            let never = arguments.common.no_color;
            let choice = if never { ColorChoice::Never } else { AutoStream::choice(&stderr()) };
            ui.out = Out::Aside(Screen::new(AutoStream::new(stderr(), choice)));
        }
        ui
    }

    /// Copies all JSON lines to this file.
    pub(crate) fn tell_into(&mut self, file: StreamFile) {
        self.file = Some(file);
    }

    /// Writes to the file of `--json-into`. A write error does not end the run: a warning is
    /// printed once, and the file keeps whole lines only.
    fn tell_file(&mut self, tell: impl FnOnce(&mut JsonLines<WholeLines>) -> io::Result<()>) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = tell(&mut file.lines) {
            let notice = file.broken_off(&error);
            self.file = None;
            let _ = self.diagnostic(&notice); // there is nowhere else to say it
        }
    }

    /// Sets the client whose calls [`Ui::calls`] prints.
    pub(crate) fn count_calls_of(&mut self, aws: &Arc<Aws>) {
        self.aws = Some(Arc::clone(aws));
    }

    /// Prints the number of AWS calls by action.
    pub(crate) fn calls(&mut self) -> io::Result<()> {
        let calls = self.aws.as_ref().map(|aws| aws.calls()).unwrap_or_default();
        let total: u64 = calls.values().sum();
        let named = |(service, action): &(&str, String)| format!("{service}:{action}");
        let calls: BTreeMap<_, _> = calls.iter().map(|(key, times)| (named(key), times)).collect();
        self.print_json("calls", &json!({"total": total, "by_action": calls}))?;
        if self.is_json() {
            return Ok(());
        }
        writeln!(self.err, "\nAWS calls: {total}")?;
        calls.iter().try_for_each(|(action, times)| writeln!(self.err, "  {times:>5}  {action}"))
    }

    /// Returns true if the output is JSON.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.out, Out::Json(_))
    }

    /// Returns true if the user can answer a prompt: standard input is a terminal and output is
    /// text.
    pub(crate) fn can_ask(&self) -> bool {
        !self.is_json() && stdin().is_terminal()
    }

    /// Returns true if a terminal shows the output, so that a line of it can change.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.out, Out::Human(_)) && stdout().is_terminal() && stderr().is_terminal()
    }

    /// Prints a result for people. Line breaks inside the line come from names and paths, and are
    /// escaped.
    pub(crate) fn print_line(&mut self, line: &str) -> io::Result<()> {
        let line = screen::unbroken(line);
        if self.markdown {
            return writeln!(self.err, "{line}");
        }
        self.out.people().map_or(Ok(()), |out| writeln!(out, "{line}"))
    }

    /// Prints a result for programs.
    pub(crate) fn print_json(
        &mut self,
        kind: &str,
        fields: &impl serde::Serialize,
    ) -> io::Result<()> {
        self.tell_file(|lines| lines.line(kind, fields));
        match &mut self.out {
            Out::Human(_) | Out::Aside(_) => Ok(()),
            Out::Json(lines) => lines.line(kind, fields),
        }
    }

    /// Prints a line of a controller's log: text on standard error, or a JSON line.
    pub(crate) fn log(
        &mut self,
        level: &str,
        controller: &str,
        object: &str,
        message: &str,
    ) -> io::Result<()> {
        self.log_with_code(level, controller, object, message, None)
    }

    /// Prints a line of a controller's log. A `code` is for programs only.
    pub(crate) fn log_with_code(
        &mut self,
        level: &str,
        controller: &str,
        object: &str,
        message: &str,
        code: Option<Code>,
    ) -> io::Result<()> {
        let mut fields = json!({"level": level, "controller": controller, "object": object,
                                "message": message});
        if let Some(code) = code {
            fields["code"] = code.name().into();
        }
        self.print_json("log", &fields)?;
        if self.is_json() {
            return Ok(());
        }
        let now = Timestamp::now();
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let colon = if object.is_empty() { "" } else { ": " };
        let line = format!("{now} {level} {controller} {object}{colon}{message}");
        writeln!(self.err, "{}", screen::unbroken(&line))
    }

    /// Prints a message for people, to standard error.
    pub(crate) fn talk(&mut self, line: &str) -> io::Result<()> {
        if self.is_json() { Ok(()) } else { writeln!(self.err, "{}", screen::unbroken(line)) }
    }

    /// Prints an error or a warning.
    pub(crate) fn diagnostic(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        self.tell_file(|lines| lines.diagnostic(diagnostic));
        if let Out::Json(lines) = &mut self.out {
            // Standard output may be full, and the diagnostic may say that.
            return lines.diagnostic(diagnostic).or_else(|_| diagnostic.write(&mut self.err));
        }
        if let Some(out) = self.out.people() {
            let _ = out.flush(); // that it fails may be just what is to be told
        }
        diagnostic.write(&mut self.err)
    }

    /// Prints the findings of an input file.
    pub(crate) fn findings(
        &mut self,
        findings: &[Finding],
        file: &str,
        text: &str,
    ) -> io::Result<()> {
        let told: Vec<_> = findings.iter().map(|one| for_programs(one, file)).collect();
        self.tell_file(|lines| told.iter().try_for_each(|one| lines.line("diagnostic", one)));
        match &mut self.out {
            Out::Json(lines) => told.iter().try_for_each(|one| lines.line("diagnostic", one)),
            _ if findings.is_empty() => Ok(()),
            _ => {
                writeln!(self.err, "{}", install_config::render(findings, file, text, self.colour))
            }
        }
    }

    /// Prints a plan.
    pub(crate) fn plan(&mut self, view: &PlanView<'_>) -> io::Result<()> {
        self.tell_file(|lines| lines.plan(view));
        match &mut self.out {
            Out::Json(lines) => lines.plan(view),
            people if self.markdown => at_once(people, |text| markdown::plan(view, text)),
            people => at_once(people, |text| view.write(text)),
        }
    }

    /// Prints only the drift of a plan.
    pub(crate) fn drift(&mut self, view: &PlanView<'_>) -> io::Result<()> {
        self.tell_file(|lines| lines.drift_only(view));
        match &mut self.out {
            Out::Json(lines) => lines.drift_only(view),
            people if self.markdown => at_once(people, |text| markdown::drift_only(view, text)),
            people => at_once(people, |text| view.write_drift_only(text)),
        }
    }

    /// Prints a saved plan: text or Markdown for people, a document for programs.
    pub(crate) fn show_plan(
        &mut self,
        view: &PlanView<'_>,
        programs: impl FnOnce() -> Value,
    ) -> io::Result<()> {
        match self.markdown {
            true => self.show(|out| markdown::plan(view, out), programs),
            false => self.show(|out| view.write(out), programs),
        }
    }

    /// Prints a document: text for people, JSON on one line for programs.
    pub(crate) fn show(
        &mut self,
        people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        programs: impl FnOnce() -> Value,
    ) -> io::Result<()> {
        if self.is_json() {
            let document = programs().to_string();
            return writeln!(stdout(), "{}", screen::for_json(&document));
        }
        at_once(&mut self.out, people)
    }

    /// Prints a text for people, with colours where the output has them.
    pub(crate) fn text(
        &mut self,
        people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        at_once(&mut self.out, people)
    }

    /// Prints a document that is the same for people and programs. Its bytes are exact, except on a
    /// terminal, which would obey control characters.
    pub(crate) fn document(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.is_json() && stdout().is_terminal() {
            return at_once(&mut self.out, write);
        }
        let mut text = Vec::new();
        write(&mut text)?;
        let mut out = stdout().lock();
        out.write_all(&text)?;
        out.flush()
    }

    /// Returns the form of progress for a run of this plan.
    pub(crate) fn progress(&self, plan: &Plan, schemas: &dyn Schemas) -> ProgressForm {
        if self.is_json() {
            return ProgressForm::Json;
        }
        if stdout().is_terminal() && stderr().is_terminal() {
            return ProgressForm::Live(LiveRegion::begin(
                Estimate::new(plan, schemas),
                self.colour,
            ));
        }
        ProgressForm::Lines(ProgressLines::new(Vec::new()))
    }

    /// Shows an event of a run.
    pub(crate) fn event(&mut self, progress: &mut ProgressForm, event: &Event) -> io::Result<()> {
        self.tell_file(|lines| lines.event(event));
        match (&mut self.out, progress) {
            (Out::Json(lines), _) => lines.event(event),
            (_, ProgressForm::Live(live)) => live.event(event),
            (people, ProgressForm::Lines(lines)) => at_once(people, |out| {
                lines.event(event)?;
                out.write_all(&lines.take())
            }),
            (_, ProgressForm::Json) => Ok(()),
        }
    }
}

/// Writes a text for people in one piece, so that a concurrent reader never sees half of it.
fn at_once(out: &mut Out, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut text = Vec::new();
    write(&mut text)?;
    let Some(out) = out.people() else { return Ok(()) };
    out.write_all(&text)?;
    out.flush()
}

/// Form in which the progress of a run is shown.
#[derive(Debug)]
pub(crate) enum ProgressForm {
    /// Live region on the terminal.
    Live(LiveRegion),
    /// Lines of text, one per event.
    Lines(ProgressLines<Vec<u8>>),
    /// JSON lines.
    Json,
}
