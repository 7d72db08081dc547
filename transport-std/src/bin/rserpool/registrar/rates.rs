//! The flags about how often one connection may ask.

use rserpool_core::{AsapRates, EnrpRates, Rate};

use crate::error::Error;
use crate::values;

#[derive(Debug, clap::Args)]
#[command(
    next_help_heading = "Limits of one connection: RATE is N/s with ten times as much at once, N/s,BURST, or off"
)]
pub(super) struct RateArgs {
    /// Registrations; more are refused. Default: 1000/s,10000, and twice --max-elements-per-association at once if that is
    /// more
    #[arg(long, value_name = "RATE", value_parser = values::rate)]
    max_registrations: Option<Rate>,
    /// Handle resolutions; more are refused
    #[arg(long, value_name = "RATE", default_value = "10000/s", value_parser = values::rate)]
    max_resolutions: Rate,
    /// Reports of unreachable elements; more are ignored
    #[arg(long, value_name = "RATE", default_value = "100/s", value_parser = values::rate)]
    max_unreachable_reports: Rate,
    /// Error reports about what is not understood; no more are sent
    #[arg(long, value_name = "RATE", default_value = "10/s", value_parser = values::rate)]
    max_error_reports: Rate,
    /// Handle tables that another registrar begins to read; more are refused
    #[arg(long, value_name = "RATE", default_value = "1/s", value_parser = values::rate)]
    max_handle_tables: Rate,
    /// Lists of registrars that another registrar asks for; more are refused
    #[arg(long, value_name = "RATE", default_value = "1/s", value_parser = values::rate)]
    max_peer_lists: Rate,
    /// Presences of another registrar that want an answer; more have none
    #[arg(long, value_name = "RATE", default_value = "10/s", value_parser = values::rate)]
    max_presences: Rate,
}

impl RateArgs {
    /// `elements`: how many an association may have. All of them must be able to register again at once.
    pub(super) fn rates(&self, elements: u32) -> Result<(AsapRates, EnrpRates), Error> {
        let default = AsapRates::new().registrations;
        let default = Rate { burst: default.burst.max(elements.saturating_mul(2)), ..default };
        let registrations = self.max_registrations.unwrap_or(default);
        if registrations.burst < elements {
            return Err(Error::Usage(format!(
                "'--max-registrations' allows {} at once, less than the {elements} elements of \
                 '--max-elements-per-association', which may all have to register again at once",
                registrations.burst
            )));
        }
        let asap = AsapRates {
            registrations,
            resolutions: self.max_resolutions,
            unreachable_reports: self.max_unreachable_reports,
            errors: self.max_error_reports,
        };
        let enrp = EnrpRates {
            tables: self.max_handle_tables,
            lists: self.max_peer_lists,
            presences: self.max_presences,
            errors: self.max_error_reports,
        };
        Ok((asap, enrp))
    }
}
