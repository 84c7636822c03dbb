//! `eric verify`: it passes, it can fail, it always does the same, and it leaves nothing behind.

use std::fs;
use std::process::Output;

use eric_store::Sabotage;
use serde_json::Value;
use tokio::process::Command;

use crate::folder::Folder;

async fn verify(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eric")).arg("verify").args(arguments).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The object of each simulation.
fn objects(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const WRONG: [&str; 5] = ["lost", "doubled", "reordered", "silently_dropped", "otherwise_wrong"];

#[tokio::test]
async fn twenty_seeds_of_crashes_break_no_promise() {
    let output = verify(&["--seeds", "20"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let objects = objects(&output);
    assert_eq!(objects.len(), 2);
    for object in &objects {
        assert_eq!(object["runs"], 20);
        assert!(WRONG.iter().all(|wrong| object[wrong] == 0), "{object}");
        assert!(object["faults_and_ends"].as_u64().unwrap() >= 200, "{object}");
    }
    let readers = &objects[1];
    for count in ["acknowledged", "delivered", "repeated_as_allowed", "told_as_gaps"] {
        assert!(readers[count].as_u64().unwrap() > 100, "{count}: {readers}");
    }
    assert!(text(&output.stderr).contains("20 seeds in ") && text(&output.stderr).contains("in memory"));
}

#[tokio::test]
async fn every_planted_bug_is_found_and_told_with_its_seed() {
    for sabotage in Sabotage::ALL.map(Sabotage::name) {
        let output = verify(&["--seeds", "50", "--sabotage", sabotage]).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{sabotage}: {said}");
        let found = format!("the planted bug {sabotage} was found by seed ");
        assert!(said.contains(&found), "{sabotage}: {said}");
    }
}

#[tokio::test]
async fn a_planted_bug_that_is_not_found_fails_too_and_says_so() {
    let name = Sabotage::CutTooFar.name();
    for seed in 0..50 {
        let output = verify(&["--seed", &seed.to_string(), "--sabotage", name]).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        if said.contains("was not found by 1 seed: the proof missed it") {
            return;
        }
    }
    panic!("every seed finds it");
}

#[tokio::test]
async fn the_same_seed_has_the_same_table() {
    let once = verify(&["--seed", "3"]).await;
    let again = verify(&["--seed", "3"]).await;
    assert_eq!(once.status.code(), Some(0));
    assert_eq!(text(&once.stdout), text(&again.stdout));
    assert_ne!(text(&once.stdout), text(&verify(&["--seed", "4"]).await.stdout));
}

#[tokio::test]
async fn on_a_real_disk_it_comes_to_the_same_and_leaves_nothing_behind() {
    let folder = Folder::create();
    let path = folder.path().to_str().unwrap();
    let output = verify(&["--seeds", "2", "--dir", path]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), text(&verify(&["--seeds", "2"]).await.stdout));
    assert!(text(&output.stderr).contains(&format!("in {path}")));
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
}
