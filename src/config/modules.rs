//! The modules of the CRM.

use std::path::Path;

use clap::Args;

use crate::directory::{InvalidModules, Modules};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Modules")]
pub struct ModuleSettings {
    /// TOML file with the modules, their verbs and private fields; without one, those of a
    /// real-estate CRM. Example: src/directory/modules/default.toml
    #[arg(long = "modules", env = "PORCHLIGHT_MODULES", value_name = "FILE", value_parser = file)]
    modules: Option<Modules>,
}

impl ModuleSettings {
    #[must_use]
    pub fn modules(&self) -> Modules {
        self.modules.clone().unwrap_or_default()
    }
}

fn file(path: &str) -> Result<Modules, InvalidModules> {
    Modules::read(Path::new(path))
}
