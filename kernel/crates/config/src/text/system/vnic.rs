//! The vNICs of a guest.

use super::{BOOLEAN, Reader, named};
use crate::text::fields::{Fields, Located, text};
use crate::text::value;
use crate::{MAX_VNICS_PER_UPLINK, System, UplinkLink, VnicConfig, VnicModel};
use base::MacAddress;

const MAC: &str = "six two-digit hexadecimal numbers joined by colons, like \"52:54:00:12:34:56\"";
const UPLINK: &str = "the name of a [[team]] or a [[nic]]";
const UPLINK_LINKS: [(&str, UplinkLink); 2] = [("follow", UplinkLink::Follow), ("up", UplinkLink::Up)];
const MODELS: [(&str, VnicModel); 1] = [("82540EM", VnicModel::I82540em)];

impl Reader<'_, '_> {
    pub(super) fn vnic(
        &mut self,
        mut fields: Fields<'_>,
        place: (Option<&str>, usize),
        system: &System,
    ) -> VnicConfig {
        let model = self.word(&mut fields, "model", &MODELS).unwrap_or(VnicModel::I82540em);
        let mac = self.mac(&mut fields, place);
        let uplink = fields.take("uplink").and_then(|field| text(&field, UPLINK, self.report));
        if let Some(field) = &uplink {
            self.check_uplink(field, system);
        }
        let uplink = uplink.map(|field| field.value.to_owned());
        let sharers = self.sharers.entry(uplink.clone()).or_default();
        *sharers += 1;
        if *sharers == MAX_VNICS_PER_UPLINK + 1 {
            let place = if uplink.is_some() { "on this uplink" } else { "without an uplink" };
            let message = format!("too many vNICs {place} (at most {MAX_VNICS_PER_UPLINK})");
            fields.itself().wrong(self.report, message);
        }
        let uplink_link = self.word(&mut fields, "uplink_link", &UPLINK_LINKS).unwrap_or(UplinkLink::Follow);
        let [rx_fcs, always_insert_fcs, protect_eeprom] = ["rx_fcs", "always_insert_fcs", "protect_eeprom"]
            .map(|name| self.boolean(&mut fields, name, BOOLEAN).unwrap_or(false));
        fields.finish(self.report);
        VnicConfig { model, mac, uplink, uplink_link, rx_fcs, always_insert_fcs, protect_eeprom }
    }

    /// An uplink is a team, or a `[[nic]]` in no team.
    fn check_uplink(&mut self, field: &Located<&str>, system: &System) {
        let System { nics, teams, .. } = system;
        let is_nic = |name: &str| system.sought_nics().iter().any(|nic| nic.name == name);
        if teams.iter().any(|team| team.name == field.value) {
            return;
        }
        let name = field.value.escape_debug();
        match system.team_of(field.value).filter(|_| is_nic(field.value)) {
            Some(team) => {
                let team = &team.name;
                let message = format!(
                    "\"{name}\" is a member of the team \"{team}\", which is the uplink: use \"{team}\""
                );
                field.wrong(self.report, message);
            }
            None if is_nic(field.value) => (),
            None => {
                let nics = nics.iter().map(|nic| &*nic.name).filter(|nic| system.team_of(nic).is_none());
                let known = named("teams", teams.iter().map(|team| &*team.name));
                let known = [known, named("NICs", nics)].into_iter().flatten().collect::<Vec<_>>();
                let known =
                    if known.is_empty() { "there is none of either".into() } else { known.join("; ") };
                let message = format!("no [[team]] or [[nic]] is named \"{name}\" ({known})");
                field.wrong(self.report, message);
            }
        }
    }

    /// The MAC address that is given, or one derived from the guest's name and the vNIC's index.
    fn mac(&mut self, fields: &mut Fields<'_>, (owner, index): (Option<&str>, usize)) -> MacAddress {
        let derived = value::derived_mac(owner.unwrap_or_default(), index);
        let Some(field) = fields.take("mac") else {
            if owner.is_some() {
                self.unique("MAC address", &fields.itself(), derived.to_string());
            }
            return derived;
        };
        let Some(field) = text(&field, MAC, self.report) else { return derived };
        let Ok(mac) = field.value.parse::<MacAddress>() else {
            field.wrong(self.report, format!("\"{}\" is not {MAC}", field.value.escape_debug()));
            return derived;
        };
        if mac.is_multicast() || mac == MacAddress::default() {
            let message =
                format!("{mac} is not a unicast address: the first byte must be even, and not all bytes 0");
            field.wrong(self.report, message);
        }
        self.unique("MAC address", &field, mac.to_string());
        mac
    }
}
