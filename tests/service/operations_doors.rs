//! The operator's guide about who comes in: each task as it is written.

use openssl::ssl::SslVersion;
use rstest::rstest;
use tokenkeep::sandbox::CardStatus;

use crate::support::certificates::{Certificate, Wish};
use crate::support::stage::Stage;
use crate::support::tls::{ASKING, SENDER, post, sender};
use crate::support::{Backend, wait_until};

#[rstest]
fn after_a_stop_what_mastercard_did_not_deliver_is_asked_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    stage.card("card");
    stage.sandbox.send_to(None);
    let suspended = stage.sandbox.set_status("card", CardStatus::Suspended);
    suspended.unwrap();
    stage.systemctl("stop");
    stage.set_variable("RECEIVER", &stage.receiver.to_string());

    let [look, start, see] = stage.steps("Mastercard cannot reach us");
    stage.take(&look);
    stage.take(&start);
    stage.look(&see);
    assert!(!stage.may_charge("card"));
}

#[rstest]
fn a_sender_with_a_new_authority_is_let_in_when_that_is_known(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::set(backend);
    let [old, new] = ["Authority 2026", "Authority 2027"].map(Certificate::authority);
    let own = Certificate::self_signed(&Wish {
        is_for_clients: false,
        ..Wish::client(&["localhost"])
    });
    stage.put("keys/tls/server.pem", &own.pem());
    stage.put("keys/tls/server.key", &own.key_pem());
    stage.put("keys/tls/authorities.pem", &old.pem());
    stage.put("authority-2027.pem", &new.pem());
    stage.set_variable("AUTHORITY", "authority-2027.pem");
    stage.settings("", ASKING);
    stage.start();
    let certificate = new.issue(&Wish::client(&[SENDER]));
    let deliver = || {
        post(
            stage.receiver,
            &sender(Some(&certificate), SslVersion::TLS1_3),
        )
    };
    assert!(deliver().is_none());

    let [look, add, see] = stage.steps("Senders are refused");
    stage.take(&look);
    stage.take(&add);
    wait_until("the new authority is known", || {
        deliver().is_some_and(|answer| answer.status == 204)
    });
    stage.look(&see);
}
