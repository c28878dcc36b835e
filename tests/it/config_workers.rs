//! The settings that many workers need: how many, where, with which ports, and what they share.

use std::fs;
use std::path::PathBuf;

use roger::cli::check::Style;
use roger::config::{
    Config, Diagnosis, Examination, Machine, OnLoss, Origin, Override, Polling, Severity, Sources,
    Steering, examine,
};

use crate::config_check::{
    Hosts, examined, machine, printed, the_only_error, the_only_warning, with,
};
use crate::status_socket::Directory;

fn on(machine: &Machine, text: &str) -> Examination {
    let sources = Sources { name: "roger.toml", text, overrides: &[], machine };
    examine(sources, &mut Hosts)
}

fn of_eight(text: &str) -> Examination {
    on(&Machine { cpus: (0..8).collect(), ..machine() }, text)
}

fn workers(more: &str) -> String {
    with(&format!("[workers]\n{more}\n"))
}

fn cpus(found: Examination) -> Vec<Option<usize>> {
    found.config.unwrap().workers.cpus
}

#[track_caller]
fn config(text: &str) -> Config {
    let found = of_eight(text);
    assert!(found.diagnoses.is_empty(), "{:#?}", found.diagnoses);
    found.config.unwrap()
}

#[track_caller]
fn the_only_diagnosis(found: &Examination) -> &Diagnosis {
    let [one] = found.diagnoses.as_slice() else { panic!("{:#?}", found.diagnoses) };
    one
}

#[test]
fn without_a_word_there_is_one_worker_on_the_last_cpu() {
    let workers = examined(&with(""), &[]).config.unwrap().workers;
    assert_eq!(workers.cpus, [Some(1)]);
    assert_eq!((workers.steering, workers.on_loss), (Steering::Spread, OnLoss::Exit));
    assert_eq!((workers.polling, workers.lost_after_ms), (Polling::Adaptive, 800));
    let unknown = Machine { cpus: Vec::new(), ..machine() };
    assert_eq!(cpus(on(&unknown, &with(""))), [None]);
}

#[test]
fn each_cpu_that_is_listed_has_a_worker() {
    let listed = config(&workers("cpus = \"2-5,7\"")).workers;
    assert_eq!(listed.cpus, [2, 3, 4, 5, 7].map(Some));
    assert_eq!(listed.count(), 5);
    assert_eq!(config(&workers("cpus = \"2-3\"\ncount = 2")).workers.cpus, [Some(2), Some(3)]);
    assert_eq!(config(&workers("cpus = \"any\"")).workers.cpus, [None]);
    assert_eq!(config(&workers("cpus = \"any\"\ncount = 3")).workers.cpus, [None; 3]);
    // The last CPUs have the fewest interrupts.
    assert_eq!(config(&workers("count = 3")).workers.cpus, [5, 6, 7].map(Some));
}

#[test]
fn cpus_are_there_and_as_many_as_workers() {
    the_only_error(&workers("cpus = \"7\""), "this process cannot run on CPU 7", 13, 8);
    the_only_error(&workers("cpus = \"0,6-8\""), "this process cannot run on CPUs 6-8", 13, 8);
    let idle = of_eight(&workers("cpus = \"2-5\"\ncount = 2"));
    let one = the_only_diagnosis(&idle);
    assert_eq!((one.severity, one.line), (Severity::Error, 13));
    assert_eq!(one.message, "4 CPUs are listed for 2 workers");
    assert_eq!(one.suggestion.as_deref(), Some("count = 4, or cpus = \"2-3\""));
    let many = Machine { cpus: (0..100).collect(), ..machine() };
    let all = on(&many, &workers("cpus = \"0-64\""));
    let message = "65 CPUs are listed, and there are at most 64 workers";
    assert_eq!(the_only_diagnosis(&all).message, message);
    let most = on(&many, &workers("cpus = \"0-63\""));
    assert_eq!(most.config.unwrap().workers.count(), 64);
    let none = on(&many, &workers("cpus = \"0-99\"\ncount = 2"));
    assert_eq!(the_only_diagnosis(&none).suggestion.as_deref(), Some("cpus = \"0-1\""));
    for wrong in ["count = 0", "count = 65"] {
        the_only_error(&workers(wrong), "this number must lie between 1 and 64", 13, 9);
    }
}

#[test]
fn workers_that_share_a_cpu_must_not_spin_on_it() {
    let shared = workers("cpus = \"4,6\"\ncount = 3");
    let found = of_eight(&shared);
    let one = the_only_diagnosis(&found);
    assert_eq!((one.severity, one.line), (Severity::Warning, 14));
    assert_eq!(one.message, "3 workers share 2 CPUs");
    assert_eq!(cpus(found), [4, 6, 4].map(Some));
    for text in [&*shared, &workers("count = 9"), &workers("cpus = \"any\"\ncount = 9")] {
        assert!(of_eight(text).config.is_some(), "{text}");
        let found = of_eight(&format!("{text}polling = \"spin\"\n"));
        assert_eq!(the_only_diagnosis(&found).severity, Severity::Error, "{text}");
        let suggestion = the_only_diagnosis(&found).suggestion.as_deref().unwrap();
        assert!(suggestion.ends_with("or polling = \"adaptive\""), "{suggestion}");
    }
    // What a machine has may not be known; then nothing is shared that is not listed twice.
    let unknown = Machine { cpus: Vec::new(), ..machine() };
    let free = on(&unknown, &workers("count = 3\npolling = \"spin\""));
    assert!(free.diagnoses.is_empty(), "{:#?}", free.diagnoses);
}

#[test]
fn spinning_on_every_cpu_is_worth_a_warning() {
    let spin = workers("polling = \"spin\"");
    let found = on(&Machine { cpus: vec![0], ..machine() }, &spin);
    assert_eq!(the_only_diagnosis(&found).message, "the worker spins on the only CPU");
    assert!(found.config.is_some());
    let all = workers("count = 2\npolling = \"spin\"");
    the_only_warning(&all, "the workers spin on all 2 CPUs");
    the_only_warning(
        &workers("cpus = \"any\"\ncount = 2\npolling = \"spin\""),
        "the workers spin on all 2 CPUs",
    );
    assert!(of_eight(&workers("count = 7\npolling = \"spin\"")).diagnoses.is_empty());
}

#[test]
fn steering_and_the_loss_of_a_worker_are_configured() {
    let text = "count = 2\nsteering = \"kernel\"\non_loss = \"stay\"\nlost_after = \"500ms\"";
    let two = config(&workers(text)).workers;
    assert_eq!((two.steering, two.on_loss), (Steering::Kernel, OnLoss::Stay));
    assert_eq!(two.lost_after_ms, 500);
    assert_eq!(config(&workers("lost_after = \"60s\"")).workers.lost_after_ms, 60_000);
    for wrong in ["499ms", "60001ms"] {
        let text = workers(&format!("lost_after = \"{wrong}\""));
        the_only_error(&text, "lost_after must lie between 500ms and 1min", 13, 14);
    }
    the_only_error(&workers("steering = \"hash\""), "`hash` is not `spread` or `kernel`", 13, 12);
    the_only_error(&workers("on_loss = \"quit\""), "`quit` is not `exit` or `stay`", 13, 11);
    the_only_warning(
        &workers("on_loss = \"stay\""),
        "a process that has lost its only worker stays",
    );
}

#[test]
fn each_worker_has_a_port_of_its_own() {
    let ports = |range: &str| {
        let requests = format!("[requests]\nports = \"{range}\"\n");
        of_eight(&with(&format!("{requests}[workers]\ncount = 4\n")))
    };
    assert!(ports("5090-5093").diagnoses.is_empty());
    let few = ports("5090-5092");
    let one = the_only_diagnosis(&few);
    assert_eq!((one.severity, one.line, one.column), (Severity::Error, 13, 9));
    assert_eq!(one.message, "4 workers need 4 ports, and this range has 3");
    assert_eq!(one.suggestion.as_deref(), Some("ports = \"5090-5093\""));
    assert!(one.beside.is_some());
    assert_eq!(the_only_diagnosis(&ports("65535")).suggestion, None);
    assert!(config(&workers("count = 4")).state_directory.is_none());
}

#[test]
fn each_worker_has_room_for_its_share() {
    let one = config(&with(""));
    let all = one.per_worker();
    assert_eq!((all.messages_max, all.messages_large_max), (65_536, 1_024));
    assert_eq!((all.finished_max, all.remembered_max), (320_000, 1_500_000));
    let four = config(&workers("count = 4"));
    assert_eq!(four.finished_max(), 320_000);
    let each = four.per_worker();
    // The mean, and four times the root of all * 1/4 * 3/4.
    assert_eq!((each.messages_max, each.messages_large_max), (16_384 + 444, 256 + 56));
    assert_eq!((each.finished_max, each.remembered_max), (80_000 + 980, 375_000 + 2_122));
    // The memory of all shares is that of the process.
    let large = "[capacity]\nopen = 2485000\n";
    assert!(of_eight(&with(large)).diagnoses.is_empty());
    let found = of_eight(&with(&format!("{large}[workers]\ncount = 7\n")));
    let message = &the_only_diagnosis(&found).message;
    assert!(message.starts_with("this capacity needs about "), "{message}");
    assert!(the_only_diagnosis(&found).reason.as_ref().unwrap().ends_with(", among 7 workers"));
}

#[test]
fn check_says_what_each_worker_has_room_for() {
    let (one, _) = printed(&with(""), &[], Style::default());
    assert!(one.ends_with("; 1 worker; no state directory: a new secret at each start\n"), "{one}");
    let (two, _) = printed(&workers("count = 2"), &[], Style::default());
    let each =
        "; 2 workers, each 33280 open, 576 of them large, 161132 finished, 752450 remembered; ";
    assert!(two.contains(each), "{two}");
    let style = Style { effective: true, ..Style::default() };
    let (shown, _) = printed(&workers("count = 2"), &[], style);
    for line in [
        "cpus = \"0-1\" # default",
        "count = 2 # roger.toml:13",
        "rate = 10000 # default; each worker has room for 161132 finished",
        "open = 65536 # default; each worker has room for 33280",
        "open_large = 1024 # default; each worker has room for 576",
    ] {
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.lines().any(|shown| squeezed(shown) == line), "{shown}");
    }
    let (shown, _) = printed(&workers("cpus = \"0-1\""), &[], style);
    assert!(shown.contains("# default; one on each CPU\n"), "{shown}");
}

fn state(found: &Examination) -> Option<PathBuf> {
    found.config.as_ref().unwrap().state_directory.clone()
}

#[test]
fn the_state_directory_is_the_one_written_else_the_one_offered() {
    let directory = Directory::new("state");
    let written = |path: &str| format!("state_directory = \"{path}\"\n{}", with(""));
    let path = directory.0.to_str().unwrap();
    assert_eq!(state(&examined(&with(""), &[])), None);
    assert_eq!(state(&examined(&written(path), &[])).unwrap(), directory.0);

    let offering = Machine { state_directory: Some(directory.0.clone()), ..machine() };
    let found = on(&offering, &with(""));
    assert_eq!(state(&found).unwrap(), directory.0);
    let shown = found.effective.iter().find(|one| one.key == "state_directory").unwrap();
    assert_eq!(shown.origin, Origin::Environment("STATE_DIRECTORY".to_owned()));
    let other = Directory::new("state-written");
    assert_eq!(state(&on(&offering, &written(other.0.to_str().unwrap()))).unwrap(), other.0);
    let flag = Override::from_flag(&format!("state_directory={path}")).unwrap();
    assert_eq!(state(&examined(&with(""), &[flag])).unwrap(), directory.0);
}

#[test]
fn a_state_directory_is_a_directory() {
    let directory = Directory::new("state-none");
    let (file, missing) = (directory.0.join("file"), directory.0.join("missing"));
    fs::write(&file, "").unwrap();
    let written = |path: &str| format!("state_directory = \"{path}\"\n{}", with(""));
    let path = |path: &PathBuf| written(path.to_str().unwrap());
    the_only_error(&path(&file), &format!("{} is not a directory", file.display()), 1, 19);
    the_only_warning(&path(&missing), &format!("there is no directory {}", missing.display()));
    the_only_error(&written(""), "this cannot be a path", 1, 19);
}
