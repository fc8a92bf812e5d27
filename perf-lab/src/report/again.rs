//! The command that measures one workload of a campaign again, and it alone.

use crate::record::Campaign;

/// The command of the campaign, for this cell and for no other; `None` if the record has none that
/// measured.
pub(crate) fn command(campaign: &Campaign, cell: usize) -> Option<Vec<String>> {
    let name = &campaign.cells.get(cell)?.name;
    let mut words = campaign.command.iter().cloned();
    let mut command: Vec<String> = words.by_ref().take(2).collect();
    if command.get(1).is_none_or(|word| word != "run") {
        return None;
    }
    let (mut experiments, mut options) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        if !word.starts_with("--") {
            experiments.push(word);
            continue;
        }
        // Every option has a value, behind it or behind a sign.
        let value = match word.contains('=') {
            true => None,
            false => words.next(),
        };
        if word != "--cells" && !word.starts_with("--cells=") {
            options.extend([Some(word), value].into_iter().flatten());
        }
    }
    command.extend(own(experiments, &campaign.name));
    command.extend(options);
    command.extend(["--cells".to_owned(), name.clone()]);
    Some(command)
}

/// Of several experiments the one that is called so, by its own name or by that of its file.
fn own(experiments: Vec<String>, name: &str) -> Vec<String> {
    let is_own = |word: &&String| {
        let file = word.rsplit('/').next().unwrap_or(word);
        file.split('.').next() == Some(name)
    };
    match experiments.iter().find(is_own) {
        Some(own) if experiments.len() > 1 => vec![own.clone()],
        _ => experiments,
    }
}

#[cfg(test)]
mod tests {
    use super::command;
    use crate::record::{Campaign, Cell};

    #[track_caller]
    fn check(line: &str, expect: Option<&str>) {
        let cell = |name: &str| Cell {
            name: name.to_owned(),
            ..Cell::default()
        };
        let campaign = Campaign {
            name: "w4".to_owned(),
            command: line.split(' ').map(str::to_owned).collect(),
            cells: vec![cell("up"), cell("down-1mib")],
            ..Campaign::default()
        };
        let command = command(&campaign, 1).map(|words| words.join(" "));
        assert_eq!(command.as_deref(), expect);
    }

    #[test]
    fn the_command_is_that_of_the_campaign_for_one_cell() {
        check("lab run w4", Some("lab run w4 --cells down-1mib"));
        check(
            "lab run w1 --rounds 3 --cells up,down dir/w4.yaml --seed=9 --cells=x",
            Some("lab run dir/w4.yaml --rounds 3 --seed=9 --cells down-1mib"),
        );
        check(
            "lab run mine.yaml",
            Some("lab run mine.yaml --cells down-1mib"),
        );
        check("lab compare a b", None);
    }
}
