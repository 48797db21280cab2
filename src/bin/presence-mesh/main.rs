//! `presence-mesh`: shares the lamps and message counts of phone servers.

mod address;
mod api;
mod bridge;
mod cli;
mod client;
mod demo;
mod doctor;
mod exit;
mod generate;
mod guest;
mod http;
mod init;
mod join;
mod lamp;
mod logs;
mod output;
mod panel;
mod people;
mod run;
mod secrets;
mod service;
mod settings;
mod sim;
mod span;
mod table;
mod top;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{AsteriskCommand, Cli, Command, ConfigCommand};

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Invite(args) => client::invite(&args),
        Command::Join(args) => join::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Set(args) => client::set(&args),
        Command::Clear(args) => client::clear(&args),
        Command::Devices(args) => client::devices(&args),
        Command::Mailboxes(args) => client::mailboxes(&args),
        Command::Presence(args) => client::presence(&args),
        Command::Custom(args) => client::custom(&args),
        Command::Watch(args) => client::watch(&args),
        Command::Explain(args) => client::explain(&args),
        Command::Events(command) => client::events(&command),
        Command::Status(args) => client::status(&args),
        Command::Peers(args) => client::peers(&args),
        Command::Ping(args) => client::ping(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Sim(command) => sim::run(&command),
        Command::Asterisk(AsteriskCommand::Config(args)) => bridge::print_config(&args),
        Command::Asterisk(AsteriskCommand::Withdraw(args)) => bridge::withdraw(&args),
        Command::Generate(command) => generate::run(&command),
        Command::Config(ConfigCommand::Check { file }) => settings::check(&file),
    }
}
