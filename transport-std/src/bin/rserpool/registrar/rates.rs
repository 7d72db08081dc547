//! The flags about what one connection may ask for.

use rserpool_core::{AsapRates, EnrpRates, Rate};

use crate::values;

/// How much of each: see `rserpool_core::{AsapRates, EnrpRates}`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "How often one connection may ask: RATE is PER-SECOND, PER-SECOND:AT-ONCE or off")]
pub(super) struct RateArgs {
    /// Registrations of pool elements; more are refused. At once there should be twice --max-elements-per-association
    #[arg(long, value_name = "RATE", default_value = "1000:10000", value_parser = values::rate)]
    registration_rate: Rate,
    /// Handle resolutions; more are refused
    #[arg(long, value_name = "RATE", default_value = "10000:100000", value_parser = values::rate)]
    resolution_rate: Rate,
    /// Reports of unreachable elements; more are ignored
    #[arg(long, value_name = "RATE", default_value = "100:1000", value_parser = values::rate)]
    unreachable_rate: Rate,
    /// Error reports about what the connection brings; more are not sent
    #[arg(long, value_name = "RATE", default_value = "10:100", value_parser = values::rate)]
    error_rate: Rate,
    /// Handle tables for another registrar; more are refused
    #[arg(long, value_name = "RATE", default_value = "1:10", value_parser = values::rate)]
    table_rate: Rate,
    /// Lists of registrars for another one; more are refused
    #[arg(long, value_name = "RATE", default_value = "1:10", value_parser = values::rate)]
    list_rate: Rate,
    /// Presences of another registrar that want a reply; more have none
    #[arg(long, value_name = "RATE", default_value = "10:100", value_parser = values::rate)]
    presence_rate: Rate,
}

impl RateArgs {
    pub(super) fn asap(&self) -> AsapRates {
        AsapRates {
            registrations: self.registration_rate,
            resolutions: self.resolution_rate,
            unreachable_reports: self.unreachable_rate,
            errors: self.error_rate,
        }
    }

    pub(super) fn enrp(&self) -> EnrpRates {
        EnrpRates {
            tables: self.table_rate,
            lists: self.list_rate,
            presences: self.presence_rate,
            errors: self.error_rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        rates: RateArgs,
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let flags = Flags::parse_from(["registrar"]);
        assert_eq!((flags.rates.asap(), flags.rates.enrp()), (AsapRates::new(), EnrpRates::new()));
    }
}
