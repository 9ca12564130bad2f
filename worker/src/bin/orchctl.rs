fn main() -> std::process::ExitCode {
    orch_worker::ctl::main()
}
