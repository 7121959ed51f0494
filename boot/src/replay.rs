//! What a team has decided, once more: histories that the shell has printed to a log of the serial line, replayed.

use anyhow::{Context, Result, bail};
use nic_manager::{ActionLine, EventLine, HistoryText, Replay, ReplayStep, TeamAction, TeamEvent, TeamNames};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

/// Which histories, and how much of them.
pub struct ReplayRequest {
    /// The log.
    pub log: PathBuf,
    /// The team, if only one counts.
    pub team: Option<String>,
    /// Samples that decide nothing, too.
    pub all: bool,
}

/// Replays the histories in a log, and prints what they decide.
///
/// # Errors
/// When there is none, a team's last one is not whole, or one decides something else than it did on the machine.
pub fn replay(request: &ReplayRequest) -> Result<()> {
    let name = request.log.display();
    let log = std::fs::read(&request.log).with_context(|| format!("cannot read {name}"))?;
    let found = nic_manager::read_histories(&String::from_utf8_lossy(&log));
    let wanted = |history: &&HistoryText| request.team.as_ref().is_none_or(|team| team == history.team());
    let histories: Vec<_> = found.iter().filter(wanted).collect();
    if histories.is_empty() {
        let teams: BTreeSet<_> = found.iter().map(TeamNames::team).collect();
        match &request.team {
            Some(team) if !teams.is_empty() => {
                let teams = Vec::from_iter(teams).join(", ");
                bail!("{name}: no history of team {team}; there are some of: {teams}");
            }
            _ => bail!("{name}: no history of a team: Weir's shell prints them with: net events raw"),
        }
    }
    let mut out = io::stdout().lock();
    for (index, history) in histories.iter().enumerate() {
        let (team, line) = (history.team(), history.line());
        match history.bytes() {
            Ok(bytes) => {
                writeln!(out, "{name}:{line}: history of team {team}")?;
                let done = print(history, bytes, request.all, &mut out);
                done.with_context(|| format!("{name}:{line}: history of team {team}"))?;
            }
            Err(damage) => {
                let said =
                    format!("{name}:{}: history of team {team} from line {line} on: {damage}", damage.line);
                let whole_later = histories[index + 1..].iter().any(|later| later.team() == team);
                if !whole_later {
                    bail!("{said}");
                }
                eprintln!("{said}; a later one is used");
            }
        }
    }
    Ok(())
}

/// Prints events and decisions of one history.
fn print(history: &HistoryText, bytes: &[u8], all: bool, out: &mut impl Write) -> Result<()> {
    let mut replay = Replay::new(bytes)?;
    let (mut actions, mut count) = (Vec::new(), 0);
    while let Some(step) = replay.next(&mut |action| actions.push(action))? {
        let ReplayStep { number, at, ref event, same } = step;
        let event_line = EventLine { event, names: history };
        let lines: Vec<_> =
            actions.iter().map(|action| ActionLine { action: *action, names: history }).collect();
        if !same {
            let decided: String = lines.iter().map(|line| format!("\n    {line}")).collect();
            let decided = if decided.is_empty() { "\n    nothing".into() } else { decided };
            bail!(
                "event {number}, at {at}, was decided otherwise on the machine: {event_line}\nhere:{decided}"
            );
        }
        if all || !is_routine(event, &actions) {
            writeln!(out, "{:>14} {number:>7}  {event_line}", at.to_string())?;
            lines.iter().try_for_each(|line| writeln!(out, "{:24}-> {line}", ""))?;
        }
        actions.clear();
        count += 1;
    }
    writeln!(
        out,
        "replayed {} of team {}: the same decisions",
        crate::count(count, "event"),
        history.team()
    )?;
    Ok(())
}

/// True if the event has come by the clock, and nothing was decided on it.
fn is_routine(event: &TeamEvent, actions: &[TeamAction]) -> bool {
    matches!(event, TeamEvent::Sample(_) | TeamEvent::Tick)
        && actions.iter().all(|action| matches!(action, TeamAction::Probe(_)))
}
