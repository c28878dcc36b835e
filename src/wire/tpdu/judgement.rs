//! Every vector, judged: what is read of it, in the names that `roger decode` prints, or where it
//! is wrong and with which TP-Failure-Cause. The facts stand beside the vectors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::tests::{MO, MT};
use super::*;

/// A vector of a directory, with what is said about it.
pub(in crate::wire) struct Vector {
    pub(in crate::wire) name: String,
    pub(in crate::wire) octets: Vec<u8>,
    pub(in crate::wire) said: Value,
}

/// All vectors of a directory, each of which has its facts.
pub(in crate::wire) fn vectors(directory: &str) -> Vec<Vector> {
    let directory = format!("tests/vectors/{directory}");
    let facts = std::fs::read_to_string(format!("{directory}/facts.json")).unwrap();
    let facts: BTreeMap<String, Value> = serde_json::from_str(&facts).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(facts.keys().eq(&names), "every file has its facts, and they their file");
    facts
        .into_iter()
        .map(|(name, said)| {
            let octets = std::fs::read(format!("{directory}/{name}.dat")).unwrap();
            Vector { name, octets, said }
        })
        .collect()
}

/// The direction and the answer in which a vector is to be read.
pub(super) fn context(said: &Value) -> (Direction, Answer) {
    let direction = if said["dir"] == "mt" { MT } else { MO };
    (direction, if said["rp"] == "error" { Answer::Error } else { Answer::Ack })
}

/// Octets as hexadecimal digits; nothing if there are none.
pub(in crate::wire) fn hex_of(octets: &[u8]) -> Value {
    let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    if octets.is_empty() { Value::Null } else { json!(digits) }
}

/// An address with `+` before an international number.
pub(in crate::wire) fn number_of(address: &Address<'_>) -> Value {
    let mut room = [0; Address::TEXT_SIZE_MAX];
    let len = address.write(&mut room).unwrap();
    let text = std::str::from_utf8(&room[..len]).unwrap();
    let plus = if address.is_international() { "+" } else { "" };
    json!(format!("{plus}{text}"))
}

/// Facts by their names.
struct Facts(Map<String, Value>);

impl Facts {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        assert_eq!(self.0.insert(name.to_owned(), value.into()), None, "{name}");
    }

    fn address(&mut self, name: &str, address: &Address<'_>) {
        self.put(name, number_of(address));
        self.put(&format!("{name}_ton"), address.ton);
        self.put(&format!("{name}_npi"), address.npi);
    }

    fn time(&mut self, name: &str, stamp: &Timestamp) {
        let mut room = [0; Timestamp::RFC3339_SIZE];
        stamp.write_rfc3339(&mut room).unwrap();
        self.put(name, std::str::from_utf8(&room).unwrap());
    }

    fn user_data(&mut self, data: &UserData<'_>) {
        let mut room = [0; UserData::TEXT_SIZE_MAX];
        let text = data.text(&mut room).map(|len| std::str::from_utf8(&room[..len]).unwrap());
        self.put("text", text);
        let alphabet = match data.dcs().alphabet() {
            Alphabet::Gsm7 => "gsm7",
            Alphabet::Octets => "8bit",
            Alphabet::Ucs2 => "ucs2",
        };
        self.put("alphabet", alphabet);
        self.put("ud_hex", hex_of(data.octets));
        self.put("udl", data.udl);
        self.put("udhi", data.udhi);
        if data.udhi {
            let digits = |octets: &[u8]| hex_of(octets).as_str().unwrap_or_default().to_owned();
            let elements = data.elements();
            let elements: Vec<_> = elements
                .map(|element| json!([digits(&[element.iei]), digits(element.data)]))
                .collect();
            self.put("udh", elements);
        }
        let part = data.concatenation();
        self.put("concat", part.map(|part| json!([part.reference, part.total, part.number])));
    }

    fn parameters(&mut self, parameters: &Parameters<'_>) {
        self.put("pi", parameters.pi());
        self.put("pid", parameters.pid);
        self.put("dcs", parameters.dcs.map(|dcs| dcs.0));
        parameters.user_data.iter().for_each(|data| self.user_data(data));
    }
}

/// What is read, in the names that `roger decode` prints.
pub(super) fn facts(tpdu: &Tpdu<'_>) -> Value {
    let mut facts = Facts(Map::new());
    match tpdu {
        Tpdu::Deliver(view) => {
            facts.put("type", "deliver");
            // The bit: 1 says that no more wait.
            facts.put("mms", !view.more_messages);
            facts.put("sri", view.status_report_indication);
            facts.put("reply_path", view.reply_path);
            facts.address("oa", &view.originator);
            facts.put("pid", view.pid);
            facts.put("dcs", view.dcs.0);
            facts.time("scts", &view.scts);
            facts.user_data(&view.user_data);
        }
        Tpdu::DeliverReport(view) => {
            facts.put("type", "deliver-report");
            facts.put("fcs", view.fcs);
            facts.parameters(&view.parameters);
        }
        Tpdu::Submit(view) => submit_facts(view, &mut facts),
        Tpdu::SubmitReport(view) => {
            facts.put("type", "submit-report");
            facts.put("fcs", view.fcs);
            facts.time("scts", &view.scts);
            facts.parameters(&view.parameters);
        }
        Tpdu::StatusReport(view) => {
            facts.put("type", "status-report");
            // The bit: 1 says that no more wait.
            facts.put("mms", !view.more_messages);
            facts.put("srq", view.of_command);
            facts.put("mr", view.reference);
            facts.address("ra", &view.recipient);
            facts.time("scts", &view.scts);
            facts.time("dt", &view.discharge_time);
            facts.put("st", view.status);
            view.parameters.iter().for_each(|parameters| facts.parameters(parameters));
        }
        Tpdu::Command(view) => {
            facts.put("type", "command");
            facts.put("srr", view.status_report_request);
            facts.put("mr", view.reference);
            facts.put("pid", view.pid);
            facts.put("ct", view.command_type);
            facts.put("mn", view.message_number);
            facts.address("da", &view.destination);
            facts.put("cd_hex", hex_of(view.data.octets));
        }
    }
    Value::Object(facts.0)
}

fn submit_facts(view: &Submit<'_>, facts: &mut Facts) {
    facts.put("type", "submit");
    facts.put("rd", view.reject_duplicates);
    facts.put("srr", view.status_report_request);
    facts.put("reply_path", view.reply_path);
    facts.put("mr", view.reference);
    facts.address("da", &view.destination);
    facts.put("pid", view.pid);
    facts.put("dcs", view.dcs.0);
    facts.put("vpf", view.validity_period.format());
    match &view.validity_period {
        ValidityPeriod::None => {}
        ValidityPeriod::Relative(period) => facts.put("vp_rel", *period),
        ValidityPeriod::Absolute(stamp) => facts.time("vp_abs", stamp),
        ValidityPeriod::Enhanced(octets) => facts.put("vp_enh_hex", hex_of(octets)),
    }
    facts.user_data(&view.user_data);
}

/// Whether all that is expected was found.
pub(in crate::wire) fn assert_facts(name: &str, found: &Value, expected: &Value) {
    let expected = expected.as_object().unwrap();
    assert!(!expected.is_empty(), "{name}");
    for (fact, value) in expected {
        assert_eq!(&found[fact], value, "{name}: {fact}");
    }
}

#[test]
fn every_vector_is_judged_rightly() {
    for Vector { name, octets, said } in vectors("sms-tpdu") {
        let (direction, answer) = context(&said);
        let (judgement, _) = name.split_once('-').unwrap();
        match parse(&octets, direction, answer) {
            Ok(tpdu) => {
                assert_eq!(judgement, "ok", "{name}: {tpdu:?}");
                assert_facts(&name, &facts(&tpdu), &said["facts"]);
            }
            Err(fault) => {
                assert_eq!(judgement, format!("{:02x}", fault.fcs), "{name}: {fault}");
                assert_eq!(json!(fault.malformed.at), said["at"], "{name}: {fault}");
            }
        }
    }
}
