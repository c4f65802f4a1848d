//! The program of a card: the registered one, else that of its `serviceId`, else the default.

use tokenkeep::domain::{Policy, ProgramMatch};

use crate::support::{Processor, Register, active};

fn policy(default_program: Option<&str>) -> Policy {
    Policy {
        programs: vec![ProgramMatch {
            name: "by-service".to_owned(),
            service_id: "SRV1".to_owned(),
        }],
        default_program: default_program.map(str::to_owned),
        ..Policy::default()
    }
}

#[test]
fn the_registered_program_comes_before_the_service_and_the_default() {
    let mut processor = Processor::after(&[active(100).with("serviceId", "SRV1")]);
    processor.register(&Register::under("registered"));
    let program = policy(Some("default")).program_of(processor.card());
    assert_eq!(program.as_deref(), Some("registered"));
}

#[test]
fn the_service_comes_before_the_default() {
    let processor = Processor::after(&[active(100).with("serviceId", "SRV1")]);
    let program = policy(Some("default")).program_of(processor.card());
    assert_eq!(program.as_deref(), Some("by-service"));
}

#[test]
fn an_unknown_service_or_none_leaves_the_default_or_nothing() {
    for item in [active(100), active(100).with("serviceId", "SRV2")] {
        let processor = Processor::after(&[item]);
        let program = policy(Some("default")).program_of(processor.card());
        assert_eq!(program.as_deref(), Some("default"));
        assert_eq!(policy(None).program_of(processor.card()), None);
    }
}
